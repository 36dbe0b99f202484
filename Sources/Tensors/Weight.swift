/// A matrix or vector of a model: `rows` rows of `width` elements, row after row.
///
/// A linear layer's rows are its outputs; a norm's weight is one row. Some files put several
/// matrices into one tensor, one below the other: then a weight is a range of the tensor's rows.
package struct Weight: Sendable, Hashable, CustomStringConvertible {
  /// The name of the tensor in the model file.
  package let name: String
  package let type: ElementType
  package let rows: Int
  package let width: Int
  /// Bytes of one row in the file's layout.
  package let rowBytes: Int
  /// Where the weight begins in the tensor, in bytes.
  package let offset: Int

  /// Describes a weight, or returns nil where a row is not a whole number of blocks or the size
  /// does not fit.
  package init?(name: String, type: ElementType, rows: Int, width: Int) {
    guard rows > 0, width > 0, let rowBytes = type.rowBytes(width),
      !rowBytes.multipliedReportingOverflow(by: rows).overflow
    else { return nil }
    self.name = name
    self.type = type
    self.rows = rows
    self.width = width
    self.rowBytes = rowBytes
    offset = 0
  }

  private init(_ whole: Weight, rows: Int, width: Int, rowBytes: Int, offset: Int) {
    (name, type) = (whole.name, whole.type)
    (self.rows, self.width, self.rowBytes) = (rows, width, rowBytes)
    self.offset = whole.offset + offset
  }

  /// Some of the rows as a weight of their own, or nil where the weight has not so many.
  package func slice(rows range: Range<Int>) -> Weight? {
    guard range.lowerBound >= 0, range.upperBound <= rows, !range.isEmpty else { return nil }
    return Weight(
      self, rows: range.count, width: width, rowBytes: rowBytes,
      offset: range.lowerBound * rowBytes)
  }

  /// Some of the elements of a single row, such as a bias, or nil where they are not whole blocks of
  /// a single row.
  package func slice(elements range: Range<Int>) -> Weight? {
    guard rows == 1, range.lowerBound >= 0, range.upperBound <= width, !range.isEmpty,
      let offset = type.rowBytes(range.lowerBound), let rowBytes = type.rowBytes(range.count)
    else { return nil }
    return Weight(self, rows: 1, width: range.count, rowBytes: rowBytes, offset: offset)
  }

  /// Bytes in the file's layout.
  package var bytes: Int { rows * rowBytes }

  /// The name, and of a slice where it begins.
  package var description: String { offset == 0 ? name : "\(name)[\(offset)…]" }
}

/// Where the bytes of weights come from, without saying from which file format.
package protocol WeightSource: AnyObject, Sendable {
  /// Lends the bytes of a weight that is mapped, or of a slice its part. The memory stays valid as long
  /// as the source lives, so a backend that computes in host memory may keep the pointer while it
  /// keeps the source. A source that maps nothing must not be asked.
  func bytes(of weight: Weight) -> UnsafeRawBufferPointer

  /// Lends some rows of a weight for the length of a call, and gives their memory back after it.
  func lend(
    _ rows: Range<Int>, of weight: Weight, to body: (UnsafeRawBufferPointer) -> Void
  ) throws(WeightError)

  /// A sentence about what has happened to the bytes since the source was opened, or nil. Asked when
  /// all weights are loaded, and before each use of those that are mapped.
  func complaint() -> String?
}

/// Weights that cannot be read, in a sentence for the user.
package struct WeightError: Error, Sendable, Hashable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
