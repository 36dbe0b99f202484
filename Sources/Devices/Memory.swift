package import ModelGraph
import Tensors

/// A buffer of one device. Ids are chosen by the plan, not by the device, so an instruction list
/// is complete before any memory exists.
package struct BufferID: Sendable, Hashable {
  package let index: Int

  package init(index: Int) { self.index = index }
}

/// A place in a buffer.
package struct Region: Sendable, Hashable {
  package var buffer: BufferID
  /// In bytes.
  package var offset: Int

  package init(buffer: BufferID, offset: Int = 0) {
    self.buffer = buffer
    self.offset = offset
  }
}

/// How the elements of an operand lie in memory. Rows are dense.
package enum Format: Sendable, Hashable {
  case f32
  case i32
  /// Rows of `Int8Activations`.
  case int8Blocks
  /// A pool of key-value pages; `rows` counts pages.
  case pages(KVLayout)
  /// Bounds of the keys of pages; `rows` counts pages.
  case pageBounds(KVLayout)

  /// Whether rows are pages, and not rows of the step.
  package var countsPages: Bool {
    switch self {
    case .pages, .pageBounds: true
    case .f32, .i32, .int8Blocks: false
    }
  }

  /// Bytes of one row of `width` elements.
  package func rowBytes(_ width: Int) -> Int {
    switch self {
    case .f32, .i32: width * 4
    case .int8Blocks: Int8Activations.rowBytes(width)
    case .pages(let layout): layout.pageBytes
    case .pageBounds(let layout): layout.boundsBytes
    }
  }
}

/// A matrix in a device's memory: what an instruction reads or writes.
package struct Operand: Sendable, Hashable {
  package var region: Region
  package var rows: Dimension
  package var width: Int
  package var format: Format

  package init(region: Region, rows: Dimension, width: Int, format: Format) {
    self.region = region
    self.rows = rows
    self.width = width
    self.format = format
  }

  /// Bytes at the given sizes.
  package func bytes(_ sizes: SymbolSizes) -> Int { sizes[rows] * format.rowBytes(width) }
}
