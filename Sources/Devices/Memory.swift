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

/// How keys and values of one layer lie in a page pool.
///
/// ```
/// pool      kv head 0          kv head 1 …
/// kv head   page 0 | page 1 | …
/// page      keys [headWidth][16 tokens] | values [16 tokens][headWidth]
/// ```
///
/// Keys are transposed inside a page, so that one vector holds one element of 16 tokens. Attention goes
/// through one kv head after the other, so a head's pages lie side by side: a run of pages is one stream.
package struct KVLayout: Sendable, Hashable {
  /// The element type of keys and values.
  package enum Element: String, Sendable, Hashable, CaseIterable {
    case f16
    case f32

    package var bytes: Int { self == .f16 ? 2 : 4 }
  }

  /// Tokens of a page.
  package static let pageTokens = 16

  /// Attention looks at its running maximum once in so many tokens.
  package static let windowTokens = 64

  /// Attention sums so many tokens on their own, from the first token of a sequence on, and then
  /// merges the sums in order: whoever computes them, the result has the same bits.
  package static let spanTokens = 512

  package var headCount: Int
  package var headWidth: Int
  package var element: Element

  package init(headCount: Int, headWidth: Int, element: Element) {
    self.headCount = headCount
    self.headWidth = headWidth
    self.element = element
  }

  /// Pages that so many tokens begin.
  package static func pages(_ tokens: Int) -> Int { (tokens + pageTokens - 1) / pageTokens }

  /// Elements of the keys, or of the values, of one head in one page.
  package var halfBlock: Int { Self.pageTokens * headWidth }

  /// Bytes of one page of one layer.
  package var pageBytes: Int { headCount * 2 * halfBlock * element.bytes }

  /// Elements of the least, or of the largest, keys of one head in one page: whole vectors, which end
  /// in zeros where a head does not fill them.
  package var boundsWidth: Int { (headWidth + 15) / 16 * 16 }

  /// Bytes of the bounds of one page of one layer: for each kv head the least, then the largest.
  package var boundsBytes: Int { headCount * 2 * boundsWidth * element.bytes }

  /// Bytes of the key and the value of one token in one layer.
  package var tokenBytes: Int { headCount * 2 * headWidth * element.bytes }
}
