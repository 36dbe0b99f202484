import ModelGraph
import Tensors

/// The input of a linear layer: float rows, or int8 blocks that stand for `q × scale`.
struct ActivationRows {
  let width: Int
  private let row: (Int) -> [Double]

  /// Float rows as they are.
  init(floats: Matrix<Float>) {
    width = floats.width
    row = { floats[$0].map(Double.init) }
  }

  /// Rows of `Int8Activations`.
  init(int8 bytes: UnsafeMutableRawBufferPointer, width: Int) {
    self.width = width
    let stride = Int8Activations.rowBytes(width)
    row = { index in
      (0..<width).map { j in
        let q = bytes.loadUnaligned(fromByteOffset: index * stride + j, as: Int8.self)
        let scale = bytes.loadUnaligned(
          fromByteOffset: index * stride + width + j / Int8Activations.blockLength * 4,
          as: Float.self)
        return Double(q) * Double(scale)
      }
    }
  }

  subscript(index: Int) -> [Double] { row(index) }
}

/// y[t, n] = Σ_k x[t, k] × w[n, k] + bias[n]
func linear(
  _ layer: Linear, weight: UnsafeRawBufferPointer, bias: UnsafeRawBufferPointer?,
  _ input: ActivationRows, into output: Matrix<Float>
) {
  let matrix = layer.weight
  let inputs = (0..<output.rows).map { input[$0] }
  for n in 0..<matrix.rows {
    let bytes = UnsafeRawBufferPointer(rebasing: weight[(n * matrix.rowBytes)...])
    let row = matrix.type.decoded(bytes, count: matrix.width)
    let start = bias.map { Double($0.loadUnaligned(fromByteOffset: n * 4, as: Float.self)) } ?? 0
    for t in 0..<output.rows {
      var sum = start
      inputs[t].withUnsafeBufferPointer { x in
        for k in 0..<matrix.width { sum += x[k] * Double(row[k]) }
      }
      output[t][n] = Float(sum)
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
