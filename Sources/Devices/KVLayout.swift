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
///
/// Quantised numbers share a scale, an f16, in blocks of 32 elements of a token's key or value. A number is scale
/// times code, which is exact in f32: attention over such pages is attention over f32 pages of the same numbers,
/// to the last bit. With `k2v2` a number is base + step × code, and of keys one element of a page's tokens shares
/// both (`KVRange`).
///
/// ```
/// q8   keys     scales [headWidth / 32][16 tokens] | codes [headWidth][16 tokens], signed bytes
///      values   scales [16 tokens][headWidth / 32] | codes [16 tokens][headWidth]
/// q4   keys     scales as above | codes [headWidth / 2][16 tokens]: elements 2 i and 2 i + 1 of a token in the low
///               and the high half of a byte
///      values   scales as above | codes [16 tokens][headWidth / 2]: of each block 16 bytes, elements i and i + 16 in
///               the low and the high half of byte i; all with 8 added
/// k4v2 keys     as q4
///      values   scales as above | codes [16 tokens][headWidth / 4]: of each block 8 bytes, elements i, i + 8, i + 16 and
///               i + 24 in byte i from its lowest bits on; -3, -1, 1 and 3 as 0 … 3
/// k2v2 keys     [headWidth] of an element's base and step, a byte each | codes [headWidth / 4][16 tokens]:
///               elements 4 i … 4 i + 3 of a token in a byte from its lowest bits on
///      values   as k4v2, with a base and a step in a byte each in place of a scale, and codes 0 … 3
/// ```
///
/// `i16` is made for integer arithmetic. A token's key shares one scale and its value another, both f32, and codes are
/// whole numbers (`WholeNumbers`): neighbours that are summed together lie in one word, and a number is scale × code.
///
/// ```
/// i16  keys     scales [16 tokens] | codes [headWidth / 2][16 tokens][2]: elements 2 i and 2 i + 1 of a token
///      values   scales [16 tokens] | codes [8][headWidth][2]: an element of tokens 2 i and 2 i + 1
/// ```
package struct KVLayout: Sendable, Hashable {
  /// The element type of keys and values.
  package enum Element: String, Sendable, Hashable, CaseIterable {
    case f16
    /// The upper half of single precision: its range, and 8 bits of a number where f16 has 11.
    case bf16
    case f32
    /// Whole numbers, of a key with 15 bits beside their sign and of a value with 12.
    case i16
    /// Codes of 8 or 4 bits (`KVBlock`).
    case q8
    case q4
    /// Codes of 4 bits for keys and of 2 bits for values.
    case k4v2
    /// Codes of 2 bits; of keys each element is quantised over the tokens of a page.
    case k2v2

    /// Those that keep numbers as floats.
    package static let floats = allCases.filter { !$0.hasCodes }

    /// Whether numbers are kept as codes with scales.
    package var hasCodes: Bool { keyBits < 16 || hasTokenScales }

    /// Whether a token's key has one scale and its value another.
    package var hasTokenScales: Bool { self == .i16 }

    /// Bits of an element of a key: of a float, or of a code.
    package var keyBits: Int {
      switch self {
      case .f32: 32
      case .f16, .bf16, .i16: 16
      case .q8: 8
      case .q4, .k4v2: 4
      case .k2v2: 2
      }
    }

    /// Whether each element of keys is quantised over the tokens of a page: from the latest tokens, as they come
    /// (`Operation.copyKV`), since a token alone has no codes.
    package var keysByElement: Bool { self == .k2v2 }

    /// Bits of an element of a value.
    package var valueBits: Int { self == .k4v2 ? 2 : keyBits }
  }

  /// Tokens of a page.
  package static let pageTokens = 16

  /// Attention looks at its running maximum once in so many tokens.
  package static let windowTokens = 64

  /// Attention sums so many tokens on their own, from the first token of a sequence on, and then
  /// merges the sums in order: whoever computes them, the result has the same bits.
  package static let spanTokens = 512

  /// The largest whole numbers of keys, of values and of weights. A query's add up to no more than `queryTotal` less its
  /// width, so that no sum of products leaves 32 bits: 65535 × 32767, and over a window 64 × 8191 × 4095.
  package static let (keyLimit, valueLimit, weightLimit) = (32_767, 4_095, 8_191)
  package static let queryTotal = 65_535

  /// Numbers that share a scale where they are quantised.
  package static let blockLength = 32

  package var headCount: Int
  package var headWidth: Int
  package var element: Element
  /// Whether keys and values come here rotated, as the queries that meet them are, and what comes out is rotated
  /// back (`HeadRotation`). Whoever writes pages and whoever attends over them need not know.
  package var isRotated: Bool

  package init(headCount: Int, headWidth: Int, element: Element, isRotated: Bool = false) {
    self.headCount = headCount
    self.headWidth = headWidth
    self.element = element
    self.isRotated = isRotated
  }

  /// Whether heads of a width can be kept so: quantised ones are whole blocks.
  package static func holds(headWidth: Int, as element: Element) -> Bool {
    !element.hasCodes || headWidth % blockLength == 0
  }

  /// Pages that so many tokens begin.
  package static func pages(_ tokens: Int) -> Int { (tokens + pageTokens - 1) / pageTokens }

  /// Elements of the keys, or of the values, of one head in one page.
  package var halfBlock: Int { Self.pageTokens * headWidth }

  /// Bytes of what codes of one head in one page are multiplied by and added to: of values, and of keys.
  package var scaleBytes: Int {
    element.hasTokenScales
      ? Self.pageTokens * 4 : element.hasCodes ? halfBlock / Self.blockLength * 2 : 0
  }
  package var keyScaleBytes: Int { element.keysByElement ? 2 * headWidth : scaleBytes }

  /// Bytes of the keys of one head in one page.
  package var keysBytes: Int { keyScaleBytes + halfBlock * element.keyBits / 8 }

  /// Bytes of the keys and the values of one head in one page.
  package var headBytes: Int { keysBytes + scaleBytes + halfBlock * element.valueBits / 8 }

  /// Bytes of one page of one layer.
  package var pageBytes: Int { headCount * headBytes }

  /// How the latest tokens are kept beside these pages, where a row reads those of its own window as they came.
  package var latest: KVLayout {
    KVLayout(headCount: headCount, headWidth: headWidth, element: .f16, isRotated: isRotated)
  }

  /// How bounds of keys are kept: as the keys, or where those are quantised in f16.
  package var boundsElement: Element { element.hasCodes ? .f16 : element }

  /// Elements of the least, or of the largest, keys of one head in one page: whole vectors, which end
  /// in zeros where a head does not fill them.
  package var boundsWidth: Int { (headWidth + 15) / 16 * 16 }

  /// Bytes of the bounds of one page of one layer: for each kv head the least, then the largest.
  package var boundsBytes: Int {
    headCount * 2 * boundsWidth * boundsElement.keyBits / 8
  }

  /// Bytes of the key and the value of one token in one layer.
  package var tokenBytes: Int { pageBytes / Self.pageTokens }
}
