/// A matrix or vector of a model: `rows` rows of `width` elements, row after row.
///
/// A linear layer's rows are its outputs; a norm's weight is one row.
package struct Weight: Sendable, Hashable {
  /// The name in the model file.
  package let name: String
  package let type: ElementType
  package let rows: Int
  package let width: Int
  /// Bytes of one row in the file's layout.
  package let rowBytes: Int

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
  }

  /// Bytes in the file's layout.
  package var bytes: Int { rows * rowBytes }
}

/// Where the bytes of weights come from, without saying from which file format.
package protocol WeightSource: AnyObject, Sendable {
  /// Lends the bytes of a weight that is mapped. The memory stays valid as long as the source lives,
  /// so a backend that computes in host memory may keep the pointer while it keeps the source. A
  /// source that maps nothing must not be asked.
  func bytes(of weight: Weight) -> UnsafeRawBufferPointer

  /// Lends some rows of a weight for the length of a call, and gives their memory back after it.
  func lend(
    _ rows: Range<Int>, of weight: Weight, to body: (UnsafeRawBufferPointer) -> Void
  ) throws(WeightError)

  /// A sentence about what has happened to the bytes since the source was opened, or nil.
  func complaint() -> String?
}

/// Weights that cannot be read, in a sentence for the user.
package struct WeightError: Error, Sendable, Hashable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
