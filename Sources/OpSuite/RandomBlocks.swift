package import Tensors

extension ElementType {
  /// Bytes of `count` elements of this type, below `peak` in magnitude: every code, group scale and
  /// group minimum that the format can hold occurs, which rounding of floats would not reach.
  ///
  /// - Parameters:
  ///   - count: Elements, in whole blocks.
  ///   - peak: About the largest magnitude.
  ///   - next: A source of random bits.
  /// - Returns: The elements in the file's layout.
  package func randomBytes(_ count: Int, peak: Float, next: () -> UInt64) -> [UInt8] {
    precondition(count % blockLength == 0, "rows are whole blocks")
    func index(below bound: Int) -> Int { Int(next() >> 11) % bound }
    guard let format else {
      return encoded((0..<count).map { _ in (Float(next() >> 40) / Float(1 << 23) - 1) * peak })
    }
    let structure = format.structure
    let largest = (0..<1 << structure.codeBits).map { abs(structure.integer(UInt8($0))) }.max() ?? 1
    var bytes = [UInt8](repeating: 0, count: count / blockLength * blockBytes)
    var parts = BlockParts()
    for block in 0..<count / blockLength {
      // Blocks differ in size by up to four.
      let size = peak * Float(4 - index(below: 4)) / 4
      let scales = structure.groupScales ?? 1...1
      let mostScale = max(abs(scales.lowerBound), abs(scales.upperBound))
      parts.scale = format.storable(scale: size / Float(largest * mostScale))
      if let minima = structure.groupMinima {
        parts.minimum = Float(Float16(-size / 2 / Float(minima.upperBound)))
      }
      for group in 0..<structure.groupCount {
        parts.scales[group] = Int8(scales.lowerBound + index(below: scales.count))
        if let minima = structure.groupMinima {
          parts.minima[group] = UInt8(minima.lowerBound + index(below: minima.count))
        }
      }
      for j in 0..<blockLength { parts.codes[j] = UInt8(index(below: 1 << structure.codeBits)) }
      bytes.withUnsafeMutableBytes { target in
        guard let base = target.baseAddress else { return }
        format.pack(parts, into: base + block * blockBytes)
      }
    }
    return bytes
  }
}
