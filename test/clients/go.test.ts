/** Stock grpc-go, with stubs made for this test. */
import { prepareGo } from "./go-client.js";
import { clientSuite } from "./suite.js";

clientSuite("grpc-go", prepareGo);
