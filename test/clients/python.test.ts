/** Stock grpcio, with stubs made for this test. */
import { preparePython } from "./python-client.js";
import { clientSuite } from "./suite.js";

clientSuite("Python's grpcio", preparePython);
