import ModelGraph
import Tensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// y = x / sqrt(mean(x²) + ε) × weight
func rmsNorm(
  _ norm: RMSNorm, weight: UnsafeRawBufferPointer, _ input: Matrix<Float>,
  into output: Matrix<Float>
) {
  let weights = norm.weight.type.decoded(weight, count: norm.weight.width)
  for row in 0..<input.rows {
    let squares = input[row].reduce(0.0) { $0 + Double($1) * Double($1) }
    let factor = 1 / (squares / Double(input.width) + Double(norm.epsilon)).squareRoot()
    for (column, weight) in weights.enumerated() {
      output[row][column] = Float(Double(input[row][column]) * factor * Double(weight))
    }
  }
}

/// Turns the pairs of each head by position × frequency.
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
        // Rounded to single precision as the rule of `Rope` says: devices multiply in f32.
        let angle = Double(Float(positions[row][0]) * frequency)
        let (first, second) =
          switch rope.pairing {
          case .adjacent: (start + 2 * i, start + 2 * i + 1)
          case .halves: (start + i, start + i + half)
          }
        let (a, b) = (Double(input[row][first]), Double(input[row][second]))
        output[row][first] = Float(a * cos(angle) - b * sin(angle))
        output[row][second] = Float(a * sin(angle) + b * cos(angle))
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

/// gate / (1 + exp(−gate)) × up
func gatedSiLU(gate: Matrix<Float>, up: Matrix<Float>, into output: Matrix<Float>) {
  for row in 0..<gate.rows {
    for column in 0..<gate.width {
      let x = Double(gate[row][column])
      output[row][column] = Float(x / (1 + exp(-x)) * Double(up[row][column]))
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

/// The rows of the table that `tokens` names.
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
  }
}
