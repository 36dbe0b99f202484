import Devices
import DiskCache
import GGUF
import ModelGraph
import Models
import Planning
import Residency
import Runtime
import Tensors

/// A conversation with its keys and values, in a file: it goes on without being computed again.
///
/// ```
/// "APUSKV02" │ SHA-256 of all behind it │ fingerprint, 32 bytes │ tokens, bytes of notes: 2 × u64
/// tokens, i32 each │ notes │ pages of keys and values, as they lie in the cache
/// ```
///
/// Numbers are little-endian. The fingerprint is that of the model and of how it keeps keys and values: where it
/// differs, the pages would be of another text.
struct SessionFile {
  var fingerprint: [UInt8]
  var cache: SavedCache
  /// The caller's own.
  var notes: [UInt8]

  private static let magic = Array("APUSKV02".utf8)
  private static let headBytes = 8 + 32 + 32 + 16

  init(fingerprint: [UInt8], cache: SavedCache, notes: [UInt8]) {
    self.fingerprint = fingerprint
    self.cache = cache
    self.notes = notes
  }

  /// The bytes of a file.
  var bytes: [UInt8] {
    var body = fingerprint
    for count in [cache.tokens.count, notes.count] {
      withUnsafeBytes(of: UInt64(count).littleEndian) { body += $0 }
    }
    for token in cache.tokens { withUnsafeBytes(of: token.littleEndian) { body += $0 } }
    body += notes
    body += cache.pages
    return Self.magic + SHA256.digest(body) + body
  }

  /// Reads a file's bytes.
  ///
  /// - Parameters:
  ///   - bytes: The file's.
  ///   - path: Where it lies, for errors.
  ///   - fingerprint: What it has to have.
  ///   - pagesBytes: Bytes of keys and values of so many tokens, or nil where no number is so large.
  /// - Throws: ``ApusError`` where they are no session, damaged, or of another model.
  init(
    _ bytes: [UInt8], path: String, fingerprint: [UInt8], pagesBytes: (Int) -> Int?
  ) throws(ApusError) {
    func refuse(_ reason: String) -> ApusError {
      ApusError(.file, "\(path) \(reason); move it away to begin a new session")
    }
    guard bytes.starts(with: Self.magic.dropLast(2)) else {
      throw refuse("is no session of Apus")
    }
    guard bytes.starts(with: Self.magic) else {
      throw refuse("is a session of another version of Apus")
    }
    guard bytes.count >= Self.headBytes,
      SHA256.digest(Array(bytes[40...])) == Array(bytes[8..<40])
    else { throw refuse("is damaged or was not written to its end") }
    guard Array(bytes[40..<72]) == fingerprint else {
      throw refuse(
        "is a session of another model file, or one that was computed with other --activations, --kv-type or "
          + "--kv-policy")
    }
    func count(at place: Int) -> UInt64 {
      bytes[place..<place + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    // Neither is more than the file has bytes, or nothing is computed with it.
    let (tokens, notes) = (count(at: 72), count(at: 80))
    guard tokens <= bytes.count, notes <= bytes.count else { throw refuse("is damaged") }
    let pagesBegin = Self.headBytes + Int(tokens) * 4 + Int(notes)
    guard pagesBegin <= bytes.count, bytes.count - pagesBegin == pagesBytes(Int(tokens)) else {
      throw refuse("is damaged")
    }
    let notesBegin = Self.headBytes + Int(tokens) * 4
    cache = SavedCache(
      tokens: stride(from: Self.headBytes, to: notesBegin, by: 4).map { place in
        Int32(bitPattern: bytes[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
      }, pages: Array(bytes[pagesBegin...]))
    self.notes = Array(bytes[notesBegin..<pagesBegin])
    self.fingerprint = fingerprint
  }
}

extension LanguageModel {
  /// Keeps the latest prompt and its reply with their keys and values: ``restoreSession(_:path:)`` puts
  /// them back, in another process too.
  ///
  /// - Parameter notes: Bytes that are kept along with them, such as the messages.
  /// - Returns: The bytes of a file.
  /// - Throws: ``ApusError`` where the device fails or the model's file has gone.
  public func session(notes: [UInt8] = []) async throws(ApusError) -> [UInt8] {
    if let sessionComplaint { throw ApusError(.request, sessionComplaint) }
    let fingerprint = try fingerprint()
    do throws(EngineError) {
      let cache = try await engine.perform { loop throws(EngineError) in
        try loop.save(loop.latest)
      }
      return SessionFile(fingerprint: fingerprint, cache: cache, notes: notes).bytes
    } catch { throw ApusError(error) }
  }

  /// Why the model keeps no sessions, or nil where it does.
  public var sessionComplaint: String? {
    cachePolicy.evicts
      ? "a session (--session) holds all keys and values of a text, and --kv-policy \(policy.rawValue) drops a part of "
        + "them: leave one of them out" : nil
  }

  /// Puts keys and values of a session into the cache, so that prompts which begin alike need not compute them.
  ///
  /// - Parameters:
  ///   - bytes: What ``session(notes:)`` made.
  ///   - path: Where they are from, for errors.
  /// - Returns: The notes, and how many tokens the session has.
  /// - Throws: ``ApusError`` where the bytes are damaged, of another model, or more than the context holds.
  @discardableResult
  public func restoreSession(
    _ bytes: [UInt8], path: String
  ) async throws(ApusError) -> (notes: [UInt8], tokens: Int) {
    let file = try SessionFile(
      bytes, path: path, fingerprint: try fingerprint(),
      pagesBytes: { plan.cachedBytes(tokens: $0) })
    if !file.cache.tokens.isEmpty {
      do throws(EngineError) {
        try await engine.perform { loop throws(EngineError) in try loop.restore(file.cache) }
      } catch { throw ApusError(error) }
    }
    return (file.notes, file.cache.tokens.count)
  }

  /// Tells whether keys and values of one run are those of another: its weights (their names, shapes and first
  /// bytes), its arithmetic, and how the caches lie.
  private func fingerprint() throws(ApusError) -> [UInt8] {
    let file = try GGUFFile.open(path)
    let graph = model.graph
    let arithmetic = Set(
      graph.nodes.compactMap {
        if case .linear(let layer) = $0.op { "\(layer.activations)" } else { nil }
      })
    var text = "\(model.architecture) \(model.vocabularySize) \(policy) \(arithmetic.sorted())\n"
    for constant in graph.constants { text += "\(constant.name) \(constant.values)\n" }
    if let window = plan.window { text += "window \(window.tokens)\n" }
    for cache in plan.caches { text += "\(cache.operand.format)\n" }
    var samples: [UInt8] = []
    for weight in graph.weights {
      guard let found = file.weight(named: weight.name), found.type == weight.type,
        weight.offset + weight.bytes <= found.bytes
      else {
        throw ApusError(
          .file, "\(path) has changed since it was loaded; load it again for a session")
      }
      text += "\(weight.name) \(weight.type.name) \(weight.rows) \(weight.width)\n"
      samples += file.bytes(of: weight).prefix(256)
    }
    return SHA256.digest(Array(text.utf8) + samples)
  }
}
