/**
 * Sessions of an Express application on a kvix server: they outlive the application, and
 * any number of its processes share them.
 *
 *     npm install && npm start -- 127.0.0.1:5849
 */
import express from "express";
import session from "express-session";
import { connect } from "kvix/client";
import { sessionStore } from "kvix/session";

const kvix = connect({ address: process.argv[2] ?? "127.0.0.1:5849" });
const application = express();
application.use(
  session({
    store: sessionStore(session.Store, kvix, { prefix: "shop:session:" }),
    secret: process.env["SESSION_SECRET"] ?? "for a try only",
    // Only what was changed is written; that a session is alive is a touch.
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 30 * 60 * 1000 },
  }),
);

application.get("/", (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1;
  response.send(`visits: ${request.session.visits}\n`);
});

application.get("/logout", (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.send("bye\n")));
});

const server = application.listen(Number(process.env["PORT"] ?? 0), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
process.once("SIGTERM", () => server.close(() => kvix.close()));
