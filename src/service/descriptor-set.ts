/**
 * The descriptors of everything that kvix serves, as `buf build` wrote them:
 * with source information, so that a client can show the comments of the proto.
 *
 * The generated code has descriptors too, but without comments.
 */
import { fileURLToPath } from "node:url";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import type { FileSystem } from "../host/file-system.js";

/** gen/descriptors.binpb of this package, seen from the compiled file. */
const DESCRIPTOR_SET_PATH = fileURLToPath(
  new URL("../../../gen/descriptors.binpb", import.meta.url),
);

/** One file: its name, its encoded FileDescriptorProto, and the names that it imports. */
export interface DescribedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly imports: readonly string[];
}

/** An extension of a message: which file declares it, under which field number. */
export interface DescribedExtension {
  readonly number: number;
  readonly file: DescribedFile;
}

/** The files, and where each name is declared. Immutable. */
export class DescriptorSet {
  readonly #files = new Map<string, DescribedFile>();
  readonly #symbols = new Map<string, DescribedFile>();
  readonly #extensions = new Map<string, DescribedExtension[]>();

  /** `bytes`: an encoded google.protobuf.FileDescriptorSet that holds all its imports. */
  constructor(bytes: Uint8Array) {
    for (const proto of fromBinary(FileDescriptorSetSchema, bytes).file) {
      const file = {
        name: proto.name,
        bytes: toBinary(FileDescriptorProtoSchema, proto),
        imports: proto.dependency,
      };
      this.#files.set(file.name, file);
      this.#addFile(proto, file);
    }
  }

  /** The set that kvix is built with. A missing file is a broken installation: it throws. */
  static async load(files: FileSystem): Promise<DescriptorSet> {
    const file = await files.open(DESCRIPTOR_SET_PATH, "read");
    try {
      const bytes = new Uint8Array(await file.size());
      await file.read(bytes, 0);
      return new DescriptorSet(bytes);
    } finally {
      await file.close();
    }
  }

  findFile(name: string): DescribedFile | undefined {
    return this.#files.get(name);
  }

  /** The file that declares a fully-qualified name: of a type, a field, a value, a service, an rpc. */
  findSymbol(name: string): DescribedFile | undefined {
    return this.#symbols.get(name);
  }

  /** The extensions of a message, by its fully-qualified name; undefined if there is no such message. */
  findExtensions(typeName: string): readonly DescribedExtension[] | undefined {
    return this.#extensions.get(typeName);
  }

  /** The file and everything that it imports, itself first, each once. */
  withImports(file: DescribedFile): DescribedFile[] {
    const found = new Set([file]);
    for (const { imports } of found) {
      for (const name of imports) {
        const imported = this.#files.get(name);
        if (imported !== undefined) found.add(imported);
      }
    }
    return [...found];
  }

  #addFile(proto: FileDescriptorProto, file: DescribedFile): void {
    const scope = proto.package;
    for (const message of proto.messageType) this.#addMessage(scope, message, file);
    for (const enumeration of proto.enumType) this.#addEnum(scope, enumeration, file);
    this.#addExtensions(scope, proto.extension, file);
    for (const service of proto.service) {
      const name = this.#add(scope, service.name, file);
      for (const method of service.method) this.#add(name, method.name, file);
    }
  }

  #addMessage(scope: string, message: DescriptorProto, file: DescribedFile): void {
    const name = this.#add(scope, message.name, file);
    if (!this.#extensions.has(name)) this.#extensions.set(name, []);
    for (const field of message.field) this.#add(name, field.name, file);
    for (const oneof of message.oneofDecl) this.#add(name, oneof.name, file);
    for (const nested of message.nestedType) this.#addMessage(name, nested, file);
    for (const enumeration of message.enumType) this.#addEnum(name, enumeration, file);
    this.#addExtensions(name, message.extension, file);
  }

  /** The values of an enum are named beside it, not below it: protobuf follows C++ here. */
  #addEnum(scope: string, enumeration: EnumDescriptorProto, file: DescribedFile): void {
    this.#add(scope, enumeration.name, file);
    for (const value of enumeration.value) this.#add(scope, value.name, file);
  }

  #addExtensions(
    scope: string,
    extensions: FileDescriptorProto["extension"],
    file: DescribedFile,
  ): void {
    for (const extension of extensions) {
      this.#add(scope, extension.name, file);
      const extendee = extension.extendee.replace(/^\./, "");
      const known = this.#extensions.get(extendee) ?? [];
      known.push({ number: extension.number, file });
      this.#extensions.set(extendee, known);
    }
  }

  #add(scope: string, name: string, file: DescribedFile): string {
    const full = scope === "" ? name : `${scope}.${name}`;
    this.#symbols.set(full, file);
    return full;
  }
}
