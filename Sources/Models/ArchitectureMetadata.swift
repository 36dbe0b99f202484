import GGUF

/// Look-ups of the keys that belong to a file's architecture: `llama.block_count`, …
struct ArchitectureMetadata: Sendable {
  let file: GGUFFile
  /// What the file's `general.architecture` says; its keys begin with it.
  let architecture: String

  init(_ file: GGUFFile) throws(ModelError) {
    self.file = file
    do throws(GGUFError) {
      guard let name = try file.text("general.architecture") else {
        throw file.error(.missing(key: "general.architecture"))
      }
      architecture = name
    } catch { throw .file(error) }
  }

  /// A contradiction, in words that go on after the file's name.
  func inconsistent(_ reason: String) -> ModelError {
    .inconsistent(path: file.path, reason: reason)
  }

  private func key(_ name: String) -> String { "\(architecture).\(name)" }

  private func read<T>(
    _ name: String, _ look: (String) throws(GGUFError) -> T?
  ) throws(ModelError) -> T? {
    do throws(GGUFError) { return try look(key(name)) } catch { throw .file(error) }
  }

  func integer(_ name: String) throws(ModelError) -> Int? { try read(name, file.integer) }

  func text(_ name: String) throws(ModelError) -> String? { try read(name, file.text) }

  /// A count: positive, and of a size that models have.
  func count(_ name: String) throws(ModelError) -> Int? {
    guard let value = try integer(name) else { return nil }
    guard value > 0, value <= 1 << 31 else {
      throw inconsistent("the metadata key '\(key(name))' is \(value), which no model has")
    }
    return value
  }

  /// A count that must be there.
  func required(_ name: String) throws(ModelError) -> Int {
    guard let value = try count(name) else { throw .file(file.error(.missing(key: key(name)))) }
    return value
  }

  /// A positive number.
  func positive(_ name: String) throws(ModelError) -> Double? {
    guard let value = try real(name) else { return nil }
    guard value > 0 else {
      throw inconsistent("the metadata key '\(key(name))' is \(value), but must be positive")
    }
    return value
  }

  /// A finite number.
  func real(_ name: String) throws(ModelError) -> Double? {
    guard let value = try read(name, file.real) else { return nil }
    guard value.isFinite else {
      throw inconsistent("the metadata key '\(key(name))' is \(value), which is no number")
    }
    return value
  }

  /// A list of flags; nil also where the key holds a single number instead.
  func flags(_ name: String) -> [Bool]? {
    if case .bools(let flags)? = file.metadata[key(name)] { flags } else { nil }
  }
}
