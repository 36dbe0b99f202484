/// Rounding to nearest, for every quantised format alike.
///
/// Each group gets the scale that maps its largest element to the end of the codes' range (or, with
/// minima, its smallest and largest to both ends); the scales of groups are rounded to multiples of
/// the block's, then each element to the nearest code. Formats with a search for better scales,
/// such as llama.cpp's quantiser has, lose a little less.
extension QuantizedFormat {
  package static func encode(
    _ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer
  ) {
    let structure = structure
    let groups = (0..<structure.groupCount).map { group in
      structure.ideal(
        UnsafeBufferPointer(start: values + group * structure.group, count: structure.group))
    }
    var parts = BlockParts()
    parts.scale = storable(
      scale: shared(groups.map(\.scale), structure.groupScales))
    for (group, ideal) in groups.enumerated() {
      if let range = structure.groupScales {
        parts.scales[group] = Int8(nearest(ideal.scale, in: range, of: parts.scale))
      }
    }
    if let range = structure.groupMinima {
      parts.minimum = Float(
        Float16(shared(groups.map(\.minimum), range == 1...1 ? nil : range)))
      if range != 1...1 {
        for (group, ideal) in groups.enumerated() {
          parts.minima[group] = UInt8(nearest(ideal.minimum, in: range, of: parts.minimum))
        }
      }
    }
    for j in 0..<structure.length {
      let group = j / structure.group
      let scale = parts.scale * Float(parts.scales[group])
      let rest =
        values[j]
        - (structure.groupMinima == nil
          ? 0 : parts.minimum * Float(parts.minima[group]))
      parts.codes[j] = structure.code(of: scale == 0 ? 0 : rest / scale)
    }
    pack(parts, into: block)
  }

  /// The number whose multiples in `range` hold `ideals` best; the only ideal where there is none.
  private static func shared(_ ideals: [Float], _ range: ClosedRange<Int>?) -> Float {
    let peak = ideals.max { abs($0) < abs($1) } ?? 0
    guard let range else { return peak }
    return range.lowerBound < 0
      ? -abs(peak) / Float(range.lowerBound) : peak / Float(range.upperBound)
  }

  private static func nearest(_ ideal: Float, in range: ClosedRange<Int>, of unit: Float) -> Int {
    guard unit != 0 else { return min(max(0, range.lowerBound), range.upperBound) }
    let multiple = (ideal / unit).rounded()
    return Int(max(Float(range.lowerBound), min(Float(range.upperBound), multiple)))
  }
}

extension BlockStructure {
  /// The scale and minimum that one group alone would have.
  fileprivate func ideal(_ values: UnsafeBufferPointer<Float>) -> (scale: Float, minimum: Float) {
    let (low, high) = (values.min() ?? 0, values.max() ?? 0)
    if let groupMinima {
      // Minima of groups are multiples of a negative number, so they cannot be positive.
      let minimum = groupMinima == 1...1 ? low : min(low, 0)
      return ((high - minimum) / Float(1 << codeBits - 1), minimum)
    }
    // The far end of the range is one step longer on the negative side: the peak goes there.
    let peak = -low > high ? low : high
    switch numbers {
    case .offset(zero: 128): return (abs(peak) / 127, 0)
    case .offset(let zero): return (-peak / Float(zero), 0)
    case .codebook(let entries):
      return (peak / Float(entries.max { abs(Int($0)) < abs(Int($1)) } ?? 1), 0)
    }
  }

  /// The code whose number is nearest.
  fileprivate func code(of value: Float) -> UInt8 {
    switch numbers {
    case .offset(let zero):
      let most = Float(1 << codeBits - 1)
      return UInt8(max(zero == 128 ? 1 : 0, min(most, (value + Float(zero)).rounded())))
    case .codebook(let entries):
      let nearest = entries.indices.min {
        abs(Float(entries[$0]) - value) < abs(Float(entries[$1]) - value)
      }
      return UInt8(nearest ?? 0)
    }
  }
}
