/// The one rule by which numbers become a scale and whole numbers up to a limit, on every device. A number is
/// scale × code.
///
/// In single precision:
///
/// - scale = most × (1 / limit), where most is the largest magnitude, at most 1e30, and what is not a number has none;
/// - inverse = 1 / scale, with the reciprocal of `PortableMath`; where the scale is below 1e-30, both are 0;
/// - code = number × inverse, within ± limit, rounded to nearest even; 0 of what is not a number.
package struct WholeNumbers {
  package var scale: Float
  package var codes: [Int32]

  /// Beyond these no scale lies.
  private static let (least, largest): (Float, Float) = (1e-30, 1e30)

  package init(_ numbers: [Float], limit: Int) {
    let scale = Self.most(numbers) * (1 / Float(limit))
    self.init(numbers, scale: scale, limit: limit)
  }

  /// A query's: products of its codes with a key's are summed in 32 bits, so its codes add up to no more than `total`
  /// less their count, and none is larger than `limit`.
  ///
  /// scale = the larger of Σ magnitude × 1 / (total - count) and most × (1 / limit), with the sum in 16 lanes and the
  /// reciprocal of `PortableMath`.
  package init(_ numbers: [Float], total: Int, limit: Int) {
    var lanes = [Float](repeating: 0, count: PortableMath.laneCount)
    for (index, number) in numbers.enumerated() { lanes[index % lanes.count] += abs(number) }
    let inverse = PortableMath.reciprocal(Float(total - numbers.count))
    let bySum = PortableMath.sum(ofLanes: lanes) * inverse
    let byMost = Self.most(numbers) * (1 / Float(limit))
    self.init(numbers, scale: bySum > byMost ? bySum : byMost, limit: limit)
  }

  private init(_ numbers: [Float], scale: Float, limit: Int) {
    let isNothing = scale < Self.least
    self.scale = isNothing ? 0 : scale
    let inverse = isNothing ? 0 : PortableMath.reciprocal(scale)
    codes = numbers.map { number in
      let most = Float(limit)
      var code = number * inverse
      code = code > most ? most : code
      code = code < -most ? -most : code
      return code.isNaN ? 0 : Int32(code.rounded(.toNearestOrEven))
    }
  }

  private static func most(_ numbers: [Float]) -> Float {
    let most = numbers.reduce(0) { abs($1) > $0 ? abs($1) : $0 }
    return most > largest ? largest : most
  }
}
