package import Tensors

/// A tensor as the file describes it.
package struct TensorInfo: Sendable, Hashable {
  package let name: String
  package let type: ElementType
  /// Extents, the contiguous one first.
  package let shape: [Int]
  /// Byte offset in the file.
  package let offset: Int
  package let bytes: Int
}

/// A GGUF file, mapped: its metadata, its tensor directory and their bytes.
///
/// Everything is checked when the file is opened, so that later look-ups cannot leave it:
/// counts and lengths against the bytes that remain, extents against overflow and block sizes,
/// offsets against alignment, order and the end of the file.
package final class GGUFFile: Sendable {
  package let path: String
  package let version: UInt32
  package let metadata: [String: MetadataValue]
  /// Keys in the order of the file, for reports.
  package let metadataKeys: [String]
  package let tensors: [TensorInfo]
  private let tensorIndex: [String: Int]
  private let mapping: Mapping

  /// Opens and checks a file.
  package init(path: String) throws(GGUFError) {
    let mapping = try Mapping(path: path)
    var cursor = Cursor(path: path, bytes: mapping.bytes)
    let header = try Header(&cursor)
    self.path = path
    self.mapping = mapping
    version = header.version
    metadata = header.metadata
    metadataKeys = header.keys
    tensors = header.tensors
    tensorIndex = Dictionary(
      uniqueKeysWithValues: header.tensors.enumerated().map { ($1.name, $0) })
  }

  /// The mapped files that the model lies in.
  var mappings: [Mapping] { [mapping] }

  /// Bytes of the whole file.
  package var fileBytes: Int { mapping.bytes.count }

  /// The tensor of that name, or nil.
  package func tensor(named name: String) -> TensorInfo? {
    tensorIndex[name].map { tensors[$0] }
  }

  /// Lends a tensor's bytes; they stay valid as long as the file object lives.
  package func bytes(of tensor: TensorInfo) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      rebasing: mapping.bytes[tensor.offset..<tensor.offset + tensor.bytes])
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
    guard let tensor = tensor(named: weight.name), tensor.bytes == weight.bytes else {
      preconditionFailure("'\(weight.name)' is not a weight of \(path)")
    }
    return bytes(of: tensor)
  }
}
