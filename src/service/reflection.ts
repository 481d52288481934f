/**
 * grpc.reflection v1 and v1alpha: what a client needs to call kvix without its
 * proto. The two differ in their package name only, so one handler answers
 * both, in v1's messages.
 *
 * A question that has no answer is answered with an error in the stream, which
 * goes on. A file comes with everything it imports, but not twice in one
 * stream, except for the file that was asked for.
 */
import { create } from "@bufbuild/protobuf";
import {
  type ServerReflectionRequest,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { StatusCode } from "../base/error-catalogue.js";
import type { ConversationHandler } from "../rpc/calls.js";
import type { DescribedFile, DescriptorSet } from "./descriptor-set.js";

type Reply = ServerReflectionResponse["messageResponse"];

/** The handlers of the service. */
export interface ReflectionHandlers {
  readonly serverReflectionInfo: ConversationHandler<
    typeof ServerReflectionRequestSchema,
    typeof ServerReflectionResponseSchema
  >;
}

/** The handlers of either version; `services` are the full names that the server serves. */
export function reflectionHandlers(
  descriptors: DescriptorSet,
  services: readonly string[],
): ReflectionHandlers {
  return {
    serverReflectionInfo: () => {
      const sent = new Set<DescribedFile>();
      return (originalRequest) =>
        create(ServerReflectionResponseSchema, {
          validHost: originalRequest.host,
          originalRequest,
          messageResponse: reply(originalRequest.messageRequest, descriptors, services, sent),
        });
    },
  };
}

function reply(
  question: ServerReflectionRequest["messageRequest"],
  descriptors: DescriptorSet,
  services: readonly string[],
  sent: Set<DescribedFile>,
): Reply {
  const files = (file: DescribedFile | undefined, what: string): Reply =>
    file === undefined ? notFound(what) : fileReply(file, descriptors, sent);
  switch (question.case) {
    case "listServices":
      return listReply(services);
    case "fileByFilename":
      return files(descriptors.findFile(question.value), "file");
    case "fileContainingSymbol":
      return files(descriptors.findSymbol(unrooted(question.value)), "symbol");
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      const extensions = descriptors.findExtensions(unrooted(containingType)) ?? [];
      const found = extensions.find((extension) => extension.number === extensionNumber);
      return files(found?.file, "extension");
    }
    case "allExtensionNumbersOfType":
      return numbersReply(unrooted(question.value), descriptors);
    default:
      return errorReply(StatusCode.INVALID_ARGUMENT, "message_request must be set");
  }
}

function listReply(services: readonly string[]): Reply {
  const service = services.map((name) => ({
    $typeName: "grpc.reflection.v1.ServiceResponse" as const,
    name,
  }));
  return {
    case: "listServicesResponse",
    value: { $typeName: "grpc.reflection.v1.ListServiceResponse", service },
  };
}

function fileReply(
  file: DescribedFile,
  descriptors: DescriptorSet,
  sent: Set<DescribedFile>,
): Reply {
  const fresh = descriptors.withImports(file).filter((each) => each === file || !sent.has(each));
  for (const each of fresh) sent.add(each);
  const fileDescriptorProto = fresh.map((each) => each.bytes);
  return {
    case: "fileDescriptorResponse",
    value: { $typeName: "grpc.reflection.v1.FileDescriptorResponse", fileDescriptorProto },
  };
}

function numbersReply(baseTypeName: string, descriptors: DescriptorSet): Reply {
  const extensions = descriptors.findExtensions(baseTypeName);
  if (extensions === undefined) return notFound("type");
  const extensionNumber = extensions.map((extension) => extension.number);
  return {
    case: "allExtensionNumbersResponse",
    value: {
      $typeName: "grpc.reflection.v1.ExtensionNumberResponse",
      baseTypeName,
      extensionNumber,
    },
  };
}

function notFound(what: string): Reply {
  return errorReply(StatusCode.NOT_FOUND, `this server knows no such ${what}`);
}

function errorReply(errorCode: number, errorMessage: string): Reply {
  return {
    case: "errorResponse",
    value: { $typeName: "grpc.reflection.v1.ErrorResponse", errorCode, errorMessage },
  };
}

/** Names in descriptors may begin with a dot, which says that they are fully qualified. */
function unrooted(name: string): string {
  return name.startsWith(".") ? name.slice(1) : name;
}
