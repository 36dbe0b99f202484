/// Each head of a row times a Hadamard matrix: an outlier in one element becomes a little in each, so that few bits
/// serve all of them (QuaRot, Ashkboos et al., 2024). Products of two heads that are both rotated stay what they
/// were, and rotating twice gives the head back.
///
/// The matrix is block diagonal, its blocks as wide as the largest power of two that divides the head. A block is
/// (a, b) → (a + b, a - b) for elements 1, 2, 4 … apart, in this order, then × 1 / √width.
package struct HeadRotation: Sendable, Hashable {
  package var headCount: Int
  package var headWidth: Int

  package init(headCount: Int, headWidth: Int) {
    self.headCount = headCount
    self.headWidth = headWidth
  }

  /// Elements that are mixed.
  package var blockWidth: Int { headWidth & -headWidth }

  /// 1 / √blockWidth.
  package var factor: Float {
    let power = blockWidth.trailingZeroBitCount
    return (power % 2 == 0 ? 1 : 0.707_106_781) / Float(1 << (power / 2))
  }
}
