/// The name of one file of a split model: `PREFIX-00002-of-00003.gguf`.
struct SplitName {
  var prefix: String
  var number: Int
  var count: Int

  static func suffix(number: Int, count: Int) -> String {
    func digits(_ value: Int) -> String {
      String(repeating: "0", count: max(0, 5 - "\(value)".count)) + "\(value)"
    }
    return "-\(digits(number))-of-\(digits(count)).gguf"
  }

  /// Nil where the path does not end as the file of that number does.
  init?(path: String, number: Int, count: Int) {
    let suffix = Self.suffix(number: number, count: count)
    guard path.hasSuffix(suffix) else { return nil }
    prefix = String(path.dropLast(suffix.count))
    self.number = number
    self.count = count
  }

  /// The path of the file with another number.
  func path(number: Int) -> String { prefix + Self.suffix(number: number, count: count) }
}

/// One file on its own, checked: all of a model, or a part of it.
struct Shard {
  let path: String
  let mapping: Mapping
  let header: Header

  init(path: String, _ mapping: Mapping, hasData: Bool = true) throws(GGUFError) {
    self.path = path
    self.mapping = mapping
    header = try Header(path: path, mapping, hasData: hasData)
  }

  /// The last part of the path.
  var name: String { String(path.split(separator: "/").last ?? "") }

  /// A whole number, or nil where the key is absent.
  func integer(_ key: String) throws(GGUFError) -> Int? {
    guard let value = header.metadata[key] else { return nil }
    guard let number = value.integer else { throw error(.unexpected(key: key, wanted: "a number")) }
    return number
  }

  /// Which of how many files this is, from 1 on; nil where the model is in one file.
  func place() throws(GGUFError) -> (number: Int, count: Int)? {
    guard let count = try integer(SplitKey.count), count != 1 else { return nil }
    // The names of the files have five digits.
    guard (2...99_999).contains(count) else {
      throw error(.unexpected(key: SplitKey.count, wanted: "a count of files"))
    }
    guard let index = try integer(SplitKey.number), (0..<count).contains(index) else {
      throw error(
        .unexpected(key: SplitKey.number, wanted: "the place of this file, from 0 to \(count - 1)"))
    }
    return (index + 1, count)
  }

  func error(_ reason: GGUFError.Reason) -> GGUFError { GGUFError(path: path, reason: reason) }

  /// All files of the model that this one belongs to, in order, whichever of them this is.
  func withSiblings() throws(GGUFError) -> [Shard] {
    guard let place = try place() else { return [self] }
    guard let name = SplitName(path: path, number: place.number, count: place.count) else {
      throw error(.shardName(number: place.number, count: place.count))
    }
    var shards: [Shard] = []
    for number in 1...place.count {
      let shard =
        number == place.number ? self : try sibling(name.path(number: number), place.count)
      try shard.check(belongsTo: shards.first ?? shard, number: number, count: place.count)
      shards.append(shard)
    }
    let total = shards.reduce(0) { $0 + $1.header.tensors.count }
    for shard in shards {
      guard try shard.integer(SplitKey.tensors) ?? total == total else {
        throw shard.error(
          .unexpected(
            key: SplitKey.tensors, wanted: "\(total), as many as the \(place.count) files hold"))
      }
    }
    return shards
  }

  private func sibling(_ path: String, _ count: Int) throws(GGUFError) -> Shard {
    let mapping: Mapping
    do throws(GGUFError) { mapping = try Mapping(path: path) } catch {
      guard case .cannotOpen(let why) = error.reason else { throw error }
      let name = String(path.split(separator: "/").last ?? "")
      throw self.error(.missingShard(name: name, count: count, why: why))
    }
    return try Shard(path: path, mapping)
  }

  /// Files of two models may have the same names: what a file says of itself decides.
  private func check(
    belongsTo first: Shard, number: Int, count: Int
  ) throws(GGUFError) {
    func foreign(_ because: String) -> GGUFError {
      error(.foreignShard(of: first.name, because: because))
    }
    guard let place = try place() else { throw foreign("it is a whole model") }
    guard place == (number, count) else {
      throw foreign("it is file \(place.number) of \(place.count), not \(number) of \(count)")
    }
    // Only the first file must have these; the others may.
    for key in ["general.architecture", "general.name", SplitKey.tensors] {
      guard let own = header.metadata[key], let other = first.header.metadata[key] else { continue }
      guard own == other || (own.integer != nil && own.integer == other.integer) else {
        throw foreign("'\(key)' is \(own.summary) here and \(other.summary) there")
      }
    }
  }
}

enum SplitKey {
  /// Which file this is, from 0 on.
  static let number = "split.no"
  static let count = "split.count"
  /// Tensors in all files.
  static let tensors = "split.tensors.count"
}
