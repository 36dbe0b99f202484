/// A dense matrix in host memory. Rows are bounds-checked, so that a bad index is found here and
/// not as a wrong answer elsewhere.
struct Matrix<Element: BitwiseCopyable> {
  let rows: Int
  let width: Int
  private let elements: UnsafeMutableBufferPointer<Element>

  /// Views the first `rows × width` elements of `bytes`.
  init(_ bytes: UnsafeMutableRawBufferPointer, rows: Int, width: Int) {
    self.rows = rows
    self.width = width
    let count = rows * width
    precondition(bytes.count >= count * MemoryLayout<Element>.stride, "operand beyond its buffer")
    elements = UnsafeMutableBufferPointer(
      start: bytes.baseAddress?.assumingMemoryBound(to: Element.self), count: count)
  }

  /// The elements of one row.
  subscript(row: Int) -> UnsafeMutableBufferPointer<Element> {
    precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
    return UnsafeMutableBufferPointer(rebasing: elements[row * width..<(row + 1) * width])
  }
}
