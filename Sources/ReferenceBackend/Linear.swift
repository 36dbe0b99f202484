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
/// The arithmetic is laid down to the last bit, since its results are rounded to int8 again: per
/// block of 32 the integer sum of q × x is exact; the sum starts with the bias and takes the blocks
/// in order, y = fma(d × scale, Σ q x, y), and for formats with a minimum y = fma(m, sum, y).
func linear(
  _ layer: Linear, weight: UnsafeRawBufferPointer, bias: [Float]?,
  int8 input: UnsafeMutableRawBufferPointer, into output: Matrix<Float>
) {
  let matrix = layer.weight
  let length = Int8Activations.blockLength
  let blocks = matrix.width / length
  let stride = Int8Activations.rowBytes(matrix.width)
  for n in 0..<matrix.rows {
    let row = (0..<blocks).map { matrix.integerBlock($0, ofRow: n, of: weight) }
    for t in 0..<output.rows {
      func float(_ index: Int) -> Float {
        input.loadUnaligned(
          fromByteOffset: t * stride + matrix.width + index * 4, as: Float.self)
      }
      var sum = bias?[n] ?? 0
      for (b, block) in row.enumerated() {
        var dot = 0
        for j in 0..<length {
          let x = input.load(fromByteOffset: t * stride + b * length + j, as: Int8.self)
          dot += Int(x) * block.integers[j]
        }
        sum = PortableMath.fma(block.scale * float(b), Float(dot), sum)
        if let minimum = block.minimum {
          sum = PortableMath.fma(minimum, float(blocks + b), sum)
        }
      }
      output[t][n] = sum
    }
  }
}

extension Weight {
  /// One row as floats.
  fileprivate func decodedRow(_ row: Int, of bytes: UnsafeRawBufferPointer) -> [Float] {
    type.decoded(UnsafeRawBufferPointer(rebasing: bytes[(row * rowBytes)...]), count: width)
  }

  /// One block of a quantised row as integers with their scale and minimum.
  fileprivate func integerBlock(
    _ block: Int, ofRow row: Int, of bytes: UnsafeRawBufferPointer
  ) -> (integers: [Int], scale: Float, minimum: Float?) {
    let start = row * rowBytes + block * type.blockBytes
    func half(_ offset: Int) -> Float {
      Float(bytes.loadUnaligned(fromByteOffset: start + offset, as: Float16.self))
    }
    switch type {
    case .q8_0:
      let integers = (0..<32).map { Int(Int8(bitPattern: bytes[start + 2 + $0])) }
      return (integers, half(0), nil)
    case .q4_1:
      let low = (0..<16).map { Int(bytes[start + 4 + $0] & 15) }
      let high = (0..<16).map { Int(bytes[start + 4 + $0] >> 4) }
      return (low + high, half(0), half(2))
    case .f32, .f16:
      preconditionFailure("float weights have float activations")
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
