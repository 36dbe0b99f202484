package import Tensors

/// A tensor as the file describes it.
package struct TensorInfo: Sendable, Hashable {
  package let name: String
  package let type: ElementType
  /// Extents, the contiguous one first.
  package let shape: [Int]
  /// Which of the model's files holds it, from 0 on.
  package internal(set) var shard = 0
  /// Byte offset in that file.
  package let offset: Int
  package let bytes: Int
}

/// A model's GGUF file, mapped, or all files of a split one: metadata, tensor directory and bytes.
///
/// Everything is checked when the file is opened, so that later look-ups cannot leave it:
/// counts and lengths against the bytes that remain, extents against overflow and block sizes,
/// offsets against alignment, order and the end of the file.
package final class GGUFFile: Sendable {
  /// The path that was opened.
  package let path: String
  package let version: UInt32
  /// Of a split model, the first file's: the others repeat at most what it says.
  package let metadata: Metadata
  package let tensors: [TensorInfo]
  private let tensorIndex: [String: Int]
  private let shards: [Shard]

  /// Opens and checks a file. Of a split model any file may be named; the others must lie beside it.
  package convenience init(path: String) throws(GGUFError) {
    let shard = try Shard(path: path, Mapping(path: path))
    try self.init(path: path, try shard.withSiblings())
  }

  /// Checks the bytes of a file in memory, which are copied; `path` names them in errors.
  package convenience init(bytes: [UInt8], path: String) throws(GGUFError) {
    let shard = try Shard(path: path, Mapping(copying: bytes))
    if let place = try shard.place() {
      throw shard.error(
        .missingShard(
          name: SplitName.suffix(number: place.number % place.count + 1, count: place.count),
          count: place.count, why: "only one of them is in memory"))
    }
    try self.init(path: path, [shard])
  }

  /// Checks a header in memory whose tensors have no bytes: `bytes(of:)` must not be asked.
  package convenience init(header: [UInt8], path: String) throws(GGUFError) {
    try self.init(path: path, [try Shard(path: path, Mapping(copying: header), hasData: false)])
  }

  private init(path: String, _ shards: [Shard]) throws(GGUFError) {
    self.path = path
    self.shards = shards
    version = shards[0].header.version
    metadata = shards[0].header.metadata
    var tensors: [TensorInfo] = []
    var index: [String: Int] = [:]
    for (number, shard) in shards.enumerated() {
      for var tensor in shard.header.tensors {
        tensor.shard = number
        if let other = index.updateValue(tensors.count, forKey: tensor.name) {
          throw shard.error(
            .foreignShard(
              of: shards[tensors[other].shard].name,
              because: "both hold the tensor '\(tensor.name)'"))
        }
        tensors.append(tensor)
      }
    }
    self.tensors = tensors
    tensorIndex = index
  }

  /// The mapped files that the model lies in.
  var mappings: [Mapping] { shards.map(\.mapping) }

  /// Bytes of all files.
  package var fileBytes: Int { shards.reduce(0) { $0 + $1.mapping.bytes.count } }

  /// The files that the model lies in, in order: path, bytes and number of tensors.
  package var files: [(path: String, bytes: Int, tensors: Int)] {
    shards.map { ($0.path, $0.mapping.bytes.count, $0.header.tensors.count) }
  }

  /// The tensor of that name, or nil.
  package func tensor(named name: String) -> TensorInfo? {
    tensorIndex[name].map { tensors[$0] }
  }

  /// Lends a tensor's bytes; they stay valid as long as the file object lives.
  package func bytes(of tensor: TensorInfo) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      rebasing: shards[tensor.shard].mapping.bytes[tensor.offset..<tensor.offset + tensor.bytes])
  }
}

extension GGUFFile {
  package func weight(named name: String) -> Weight? {
    guard let tensor = tensor(named: name) else { return nil }
    // Vectors and matrices; a higher rank counts as a stack of rows.
    return Weight(
      name: name, type: tensor.type, rows: tensor.shape.dropFirst().reduce(1, *),
      width: tensor.shape.first ?? 1)
  }

  package func bytes(of weight: Weight) -> UnsafeRawBufferPointer {
    guard let tensor = tensor(named: weight.name), tensor.type == weight.type,
      weight.offset + weight.bytes <= tensor.bytes
    else { preconditionFailure("'\(weight.name)' is not a weight of \(path)") }
    return UnsafeRawBufferPointer(
      rebasing: bytes(of: tensor)[weight.offset..<weight.offset + weight.bytes])
  }
}
