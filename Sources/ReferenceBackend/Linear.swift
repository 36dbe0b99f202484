import ModelGraph
import Tensors

/// y[t, n] = Σ_k x[t, k] × w[n, k] + bias[n], for float rows: summed in double precision.
func linear(
  _ layer: Linear, weight: UnsafeRawBufferPointer, bias: [Float]?, _ input: Matrix<Float>,
  into output: Matrix<Float>
) {
  let matrix = layer.weight
  let inputs = (0..<output.rows).map { input[$0].map(Double.init) }
  for n in 0..<matrix.rows {
    let row = matrix.decodedRow(n, of: weight)
    for t in 0..<output.rows {
      var sum = Double(bias?[n] ?? 0)
      inputs[t].withUnsafeBufferPointer { x in
        for k in 0..<matrix.width { sum += x[k] * Double(row[k]) }
      }
      output[t][n] = Float(sum)
    }
  }
}

/// The same for rows of `Int8Activations`.
///
/// The arithmetic is laid down to the last bit, since its results are rounded to int8 again. Sums of
/// whole numbers are exact; y starts with the bias and takes the blocks of 32 in order. With d, m the
/// block's scale and minimum, s and n those of its groups, q its integers and x the activations:
///
/// - one group in 32 elements: y = fma((d s) × scale, Σ q x, y), and for formats with minima
///   y = fma(m n, sum, y);
/// - two: y = fma(d × scale, s₀ Σ₀ q x + s₁ Σ₁ q x, y), and for formats with minima
///   y = fma(m × scale, n₀ Σ₀ x + n₁ Σ₁ x, y).
///
/// Every whole number here is below 2²⁴, so its conversion to a float is exact too.
func linear(
  _ layer: Linear, weight: UnsafeRawBufferPointer, bias: [Float]?,
  int8 input: UnsafeMutableRawBufferPointer, into output: Matrix<Float>
) {
  let matrix = layer.weight
  let rows = (0..<output.rows).map { Int8Row(input, row: $0, width: matrix.width) }
  for n in 0..<matrix.rows {
    let blocks = matrix.integerBlocks(row: n, of: weight)
    for t in 0..<output.rows {
      var sum = bias?[n] ?? 0
      for (b, block) in blocks.enumerated() { block.add(rows[t], block: b, to: &sum) }
      output[t][n] = sum
    }
  }
}

/// One row of `Int8Activations`.
private struct Int8Row {
  let values: [Int]
  let scales: [Float]
  let sums: [Float]

  init(_ bytes: UnsafeMutableRawBufferPointer, row: Int, width: Int) {
    let start = row * Int8Activations.rowBytes(width)
    let blocks = width / Int8Activations.blockLength
    func float(_ index: Int) -> Float {
      bytes.loadUnaligned(fromByteOffset: start + width + index * 4, as: Float.self)
    }
    values = (0..<width).map { Int(bytes.load(fromByteOffset: start + $0, as: Int8.self)) }
    scales = (0..<blocks).map { float($0) }
    sums = (0..<blocks).map { float(blocks + $0) }
  }
}

/// 32 elements of a weight row as whole numbers, in one group or two.
private struct IntegerBlock {
  var integers: [Int]
  var scale: Float
  var minimum: Float?
  /// Of each group: first element, scale, minimum.
  var groups: [(first: Int, scale: Int, minimum: Int)]

  func add(_ row: Int8Row, block: Int, to sum: inout Float) {
    let start = block * integers.count
    let length = integers.count / groups.count
    if groups.count == 1 {
      let dot = integers.indices.reduce(0) { $0 + integers[$1] * row.values[start + $1] }
      let scale = scale * Float(groups[0].scale)
      sum = PortableMath.fma(scale * row.scales[block], Float(dot), sum)
      if let minimum {
        sum = PortableMath.fma(minimum * Float(groups[0].minimum), row.sums[block], sum)
      }
      return
    }
    var (products, minima) = (0, 0)
    for group in groups {
      for j in group.first..<group.first + length {
        products += group.scale * integers[j] * row.values[start + j]
        minima += group.minimum * row.values[start + j]
      }
    }
    sum = PortableMath.fma(scale * row.scales[block], Float(products), sum)
    if let minimum { sum = PortableMath.fma(minimum * row.scales[block], Float(minima), sum) }
  }
}

extension Weight {
  /// One row as floats.
  fileprivate func decodedRow(_ row: Int, of bytes: UnsafeRawBufferPointer) -> [Float] {
    type.decoded(UnsafeRawBufferPointer(rebasing: bytes[(row * rowBytes)...]), count: width)
  }

  /// One quantised row in blocks of 32 elements.
  fileprivate func integerBlocks(row: Int, of bytes: UnsafeRawBufferPointer) -> [IntegerBlock] {
    guard let format = type.format, let base = bytes.baseAddress else {
      preconditionFailure("float weights have float activations")
    }
    let structure = format.structure
    let length = Int8Activations.blockLength
    var parts = BlockParts()
    return (0..<width / structure.length).flatMap { block in
      format.unpack(base + row * rowBytes + block * type.blockBytes, into: &parts)
      return stride(from: 0, to: structure.length, by: length).map { first in
        IntegerBlock(
          integers: (first..<first + length).map { structure.integer(parts.codes[$0]) },
          scale: parts.scale, minimum: structure.groupMinima == nil ? nil : parts.minimum,
          groups: stride(from: first, to: first + length, by: structure.group).map {
            let group = $0 / structure.group
            return ($0 - first, Int(parts.scales[group]), Int(parts.minima[group]))
          })
      }
    }
  }
}

/// Rows of floats to rows of int8 blocks.
func quantize(_ input: Matrix<Float>, into output: UnsafeMutableRawBufferPointer) {
  let stride = Int8Activations.rowBytes(input.width)
  for t in 0..<input.rows {
    Int8Activations.quantize(
      UnsafeBufferPointer(input[t]),
      into: UnsafeMutableRawBufferPointer(rebasing: output[t * stride..<(t + 1) * stride]))
  }
}
