package import GGUF
package import Tensors

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file that is removed when the object goes.
package final class TemporaryFile: Sendable {
  package let path: String

  package init(_ bytes: [UInt8]) {
    var template = Array("/tmp/apus-test-XXXXXX".utf8CString)
    let file = mkstemp(&template)
    precondition(file >= 0, "the temporary folder is writable")
    path = template.withUnsafeBufferPointer { buffer in
      String(decoding: buffer.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
      precondition(count > 0, "the temporary folder has room")
      rest = rest.dropFirst(count)
    }
    close(file)
  }

  /// Writes other bytes into the same file, at a time that the file system can tell from the last.
  package func rewrite(_ bytes: [UInt8]) {
    usleep(20_000)
    let file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
    precondition(file >= 0, "the temporary folder is writable")
    precondition(write(file, bytes, bytes.count) == bytes.count, "the temporary folder has room")
    close(file)
  }

  deinit { unlink(path) }
}

/// A folder that is removed with all that is in it when the object goes.
package final class TemporaryFolder: Sendable {
  package let path: String

  package init() {
    var template = Array("/tmp/apus-test-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "the temporary folder is writable")
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Names in a folder of it, in order.
  package func files(_ folder: String = ".") -> [String] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(folder)")
    return (names ?? []).sorted()
  }

  /// Writes a file below the folder, and the folders above the file.
  package func write(_ name: String, _ text: String) throws {
    let file = URL(filePath: path).appending(path: name)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The processor time that this thread spends in `body`, which does not depend on who else is at work.
package func threadTime(_ body: () throws -> Void) rethrows -> Duration {
  func now() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
  let start = now()
  try body()
  return now() - start
}

/// A value of the environment, or nil where it is unset or empty.
package func environment(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}

/// A `llama` model with a few hundred random weights, small enough for the reference.
package struct TinyModel {
  package var layers = 2
  package var width = 32
  package var heads = 4
  package var kvHeads = 2
  package var feedForward = 64
  package var context = 64
  /// The type of the linear layers.
  package var type = ElementType.q8_0
  /// Overrides of metadata; nil removes the key.
  package var metadata: [String: MetadataValue?] = [:]
  /// Tensors that are left out.
  package var omitted: Set<String> = []

  package init() {}

  /// Printable ASCII characters, one pair, and a control token that ends generation.
  package var tokens: [String] {
    (33..<96).map { String(UnicodeScalar(UInt8($0))) } + ["ZZ", "<|end|>"]
  }

  /// The bytes of the file.
  package func encoded() -> [UInt8] {
    var writer = GGUFWriter()
    let vocabulary = tokens
    let pairs: [(String, MetadataValue)] = [
      ("general.architecture", .string("llama")), ("general.name", .string("tiny")),
      ("llama.block_count", .unsigned(UInt64(layers))),
      ("llama.context_length", .unsigned(UInt64(context))),
      ("llama.embedding_length", .unsigned(UInt64(width))),
      ("llama.feed_forward_length", .unsigned(UInt64(feedForward))),
      ("llama.attention.head_count", .unsigned(UInt64(heads))),
      ("llama.attention.head_count_kv", .unsigned(UInt64(kvHeads))),
      ("llama.attention.layer_norm_rms_epsilon", .real(1e-5)),
      ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string("gpt-2")),
      ("tokenizer.ggml.tokens", .strings(vocabulary)),
      (
        "tokenizer.ggml.token_type",
        .signeds(vocabulary.indices.map { $0 == vocabulary.count - 1 ? 3 : 1 })
      ),
      ("tokenizer.ggml.merges", .strings(["Z Z"])),
      ("tokenizer.ggml.eos_token_id", .unsigned(UInt64(vocabulary.count - 1))),
    ]
    for (key, value) in pairs {
      if let override = metadata[key] {
        if let override { writer.set(key, override) }
      } else {
        writer.set(key, value)
      }
    }
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      if let value, !pairs.contains(where: { $0.0 == key }) { writer.set(key, value) }
    }

    var state: UInt32 = 12345
    func numbers(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return (Float(state >> 8) / Float(1 << 24) - 0.5) * 0.5
      }
    }
    func add(_ name: String, _ type: ElementType, _ shape: [Int]) {
      let values = numbers(shape.reduce(1, *))
      if !omitted.contains(name) { writer.add(name, type, shape, type.encoded(values)) }
    }
    let kvWidth = width / heads * kvHeads
    add("token_embd.weight", .q8_0, [width, vocabulary.count])
    for layer in 0..<layers {
      let prefix = "blk.\(layer)."
      add(prefix + "attn_norm.weight", .f32, [width])
      add(prefix + "attn_q.weight", type, [width, width])
      add(prefix + "attn_k.weight", type, [width, kvWidth])
      add(prefix + "attn_v.weight", type, [width, kvWidth])
      add(prefix + "attn_output.weight", type, [width, width])
      add(prefix + "ffn_norm.weight", .f32, [width])
      add(prefix + "ffn_gate.weight", type, [width, feedForward])
      add(prefix + "ffn_up.weight", type, [width, feedForward])
      add(prefix + "ffn_down.weight", type, [feedForward, width])
    }
    add("output_norm.weight", .f32, [width])
    return writer.encoded()
  }

  /// The file on disk.
  package func write() -> TemporaryFile { TemporaryFile(encoded()) }
}
