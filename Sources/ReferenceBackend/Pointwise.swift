import ModelGraph
import Tensors

/// y = x / sqrt(mean(x²) + ε) × weight, the squares summed in 16 lanes, over each part of a row that is
/// as wide as the weight.
func rmsNorm(
  _ norm: RMSNorm, weight: UnsafeRawBufferPointer, _ input: Matrix<Float>,
  into output: Matrix<Float>
) {
  let weights = norm.weight.type.decoded(weight, count: norm.weight.width)
  let share = PortableMath.reciprocal(Float(weights.count))
  for row in 0..<input.rows {
    for start in stride(from: 0, to: input.width, by: weights.count) {
      var lanes = [Float](repeating: 0, count: PortableMath.laneCount)
      for column in weights.indices {
        let x = input[row][start + column]
        let lane = column % PortableMath.laneCount
        lanes[lane] = PortableMath.fma(x, x, lanes[lane])
      }
      let mean = PortableMath.sum(ofLanes: lanes) * share
      let factor = PortableMath.reciprocalSquareRoot(mean + norm.epsilon)
      for (column, weight) in weights.enumerated() {
        output[row][start + column] = input[row][start + column] * factor * weight
      }
    }
  }
}

/// Turns the pairs of each head by position × frequency; sine and cosine are scaled first.
func turn(
  _ rope: Rope, frequencies: UnsafeRawBufferPointer, _ input: Matrix<Float>,
  positions: Matrix<Int32>, into output: Matrix<Float>
) {
  let half = rope.dimensions / 2
  for row in 0..<input.rows {
    for head in 0..<rope.headCount {
      let start = head * rope.headWidth
      for column in start..<start + rope.headWidth { output[row][column] = input[row][column] }
      for i in 0..<half {
        let frequency = frequencies.load(fromByteOffset: i * 4, as: Float.self)
        let turn = PortableMath.sineCosine(Float(positions[row][0]) * frequency)
        let (sine, cosine) = (turn.sine * rope.magnitude, turn.cosine * rope.magnitude)
        let (first, second) =
          switch rope.pairing {
          case .adjacent: (start + 2 * i, start + 2 * i + 1)
          case .halves: (start + i, start + i + half)
          }
        let (a, b) = (input[row][first], input[row][second])
        output[row][first] = PortableMath.fma(a, cosine, -(b * sine))
        output[row][second] = PortableMath.fma(a, sine, b * cosine)
      }
    }
  }
}

/// a + b
func add(_ a: Matrix<Float>, _ b: Matrix<Float>, into output: Matrix<Float>) {
  for row in 0..<a.rows {
    for column in 0..<a.width { output[row][column] = a[row][column] + b[row][column] }
  }
}

/// gate × sigmoid(z) × up, where z is what the activation makes of the gate.
///
/// sigmoid(z) = 1 / (1 + exp(−z)) by the exponential of −|z|, which cannot overflow.
func gated(
  _ activation: GatedActivation, gate: Matrix<Float>, up: Matrix<Float>,
  into output: Matrix<Float>
) {
  for row in 0..<gate.rows {
    for column in 0..<gate.width {
      let x = gate[row][column]
      let z =
        switch activation {
        case .silu: x
        // 2 √(2 / π) (x + 0.044715 x³)
        case .gelu: PortableMath.fma(x * x * 0.044_715, x, x) * 1.595_769_12
        }
      let e = PortableMath.exponential(-abs(z))
      let numerator = z >= 0 ? x : x * e
      output[row][column] = numerator * PortableMath.reciprocal(1 + e) * up[row][column]
    }
  }
}

/// The rows of `input` that `indices` names.
func selectRows(_ input: Matrix<Float>, indices: Matrix<Int32>, into output: Matrix<Float>) {
  for row in 0..<output.rows {
    let source = input[Int(indices[row][0])]
    for column in 0..<input.width { output[row][column] = source[column] }
  }
}

/// The rows of the table that `tokens` names, scaled.
func embedRows(
  _ embed: EmbedRows, table: UnsafeRawBufferPointer, tokens: Matrix<Int32>,
  into output: Matrix<Float>
) {
  for row in 0..<tokens.rows {
    let token = Int(tokens[row][0])
    precondition(token >= 0 && token < embed.table.rows, "token ids are checked at the door")
    let start = token * embed.table.rowBytes
    let bytes = UnsafeRawBufferPointer(rebasing: table[start..<start + embed.table.rowBytes])
    embed.table.type.decode(bytes, into: output[row])
    for column in 0..<output.width { output[row][column] *= embed.scale }
  }
}
