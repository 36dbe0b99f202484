import Devices
import ModelGraph
import Tensors

extension OpSuite {
  static func embedCases() -> [OpCase] {
    ElementType.allCases.flatMap { type in
      [(1, 3, 1), (5, 33, 2), (33, 40, 18), (0, 2, 1)].map { rows, vocabulary, units in
        let width =
          switch type.blockLength {
          case 1: units * 32 + units / 18
          case 32: units * 32
          default: (units + 2) / 3 * 256
          }
        var data = CaseData(seed: rows + width)
        let table = described("table", type, rows: vocabulary, width: width)
        let tokens = (0..<rows).map { Int32(($0 * 7 + vocabulary - 1) % vocabulary) }
        return OpCase(
          title: "rows \(rows), width \(width)",
          operation: .pure(.embedRows(EmbedRows(table: table, scale: rows == 5 ? 25.3 : 1))),
          inputs: [integers(tokens)],
          parameters: [
            .init(weight: table, bytes: data.weights(type, vocabulary * width, scale: 1))
          ],
          output: (.symbol(.rows), width, .f32), sizes: SymbolSizes(rows: rows, outputs: 0),
          tolerance: tolerance)
      }
    }
  }

  static func normCases() -> [OpCase] {
    // rows, width, parts of a row that are normed apart
    let shapes = [
      (1, 1, 1), (1, 33, 1), (5, 64, 1), (33, 576, 1), (3, 1536, 1), (0, 8, 1), (3, 66, 2),
      (33, 240, 3), (2, 512, 2),
    ]
    return shapes.map { rows, width, parts in
      var data = CaseData(seed: rows + width)
      let weight = described("norm", .f32, rows: 1, width: width / parts)
      var x = data.floats(rows * width)
      // A row of zeros divides by the square root of epsilon alone.
      if rows > 2 { for j in 0..<width { x[width + j] = 0 } }
      return OpCase(
        title: "rows \(rows), width \(width) in \(parts)",
        operation: .pure(.rmsNorm(RMSNorm(weight: weight, epsilon: 1e-5))),
        inputs: [floatRows(x, width: width)],
        parameters: [.init(weight: weight, bytes: rawBytes(data.floats(weight.width)))],
        output: (.symbol(.rows), width, .f32), sizes: SymbolSizes(rows: rows, outputs: 0),
        tolerance: tolerance)
    }
  }

  static func rotateCases() -> [OpCase] {
    // rows, heads, head width: powers of two, multiples of them, and what is odd and stays as it is
    let shapes = [
      (1, 1, 1), (1, 3, 64), (33, 9, 64), (3, 2, 80), (2, 3, 96), (2, 1, 33), (2, 2, 20),
      (5, 4, 256),
      (3, 1, 512), (2, 2, 128), (1, 3, 8), (0, 1, 32),
    ]
    return shapes.map { rows, heads, width in
      var data = CaseData(seed: rows + heads + width)
      return OpCase(
        title: "rows \(rows), heads \(heads) × \(width)",
        operation: .rotateHeads(HeadRotation(headCount: heads, headWidth: width)),
        inputs: [floatRows(data.floats(rows * heads * width), width: heads * width)],
        parameters: [], output: (.symbol(.rows), heads * width, .f32),
        sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
    }
  }

  static func ropeCases() -> [OpCase] {
    // rows, heads, head width, dimensions that turn
    let shapes = [(1, 1, 2, 2), (3, 2, 8, 4), (33, 9, 64, 64), (5, 3, 80, 20), (0, 1, 4, 4)]
    return Rope.Pairing.allCases.flatMap { pairing in
      shapes.map { rows, heads, width, dimensions in
        var data = CaseData(seed: rows + heads + width)
        let frequencies = (0..<dimensions / 2).map { i in
          Float(1) / (Float(1 << (i % 16)) + data.uniform() * 0.5)
        }
        // Far positions: the angle needs a full range reduction.
        let positions = (0..<rows).map { Int32($0 * 251 + ($0 % 2) * 4096) }
        return OpCase(
          title: "\(pairing), rows \(rows), heads \(heads) × \(width), turning \(dimensions)",
          operation: .pure(
            .rope(
              Rope(
                headCount: heads, headWidth: width, dimensions: dimensions, pairing: pairing,
                frequencies: ConstantID(index: 0), magnitude: heads > 2 ? 1.19 : 1))),
          inputs: [
            floatRows(data.floats(rows * heads * width), width: heads * width),
            integers(positions),
          ],
          parameters: [.init(weight: nil, bytes: rawBytes(frequencies))],
          output: (.symbol(.rows), heads * width, .f32),
          sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: tolerance)
      }
    }
  }

  static func pointwiseCases() -> [OpCase] {
    ([.add] + GatedActivation.allCases.map { Op.gated($0) }).flatMap { op in
      [(1, 1), (3, 33), (2, 64), (33, 1537), (0, 4)].map { rows, width in
        var data = CaseData(seed: rows + width)
        // Large gates: exp must neither overflow to NaN nor lose the sign.
        var gate = data.floats(rows * width, scale: 12)
        if width > 1000 { for j in 0..<20 { gate[j * 3] *= j % 2 == 0 ? 1e20 : -1e18 } }
        return OpCase(
          title: "rows \(rows), width \(width)", operation: .pure(op),
          inputs: [
            floatRows(gate, width: width),
            floatRows(data.floats(rows * width), width: width),
          ],
          parameters: [], output: (.symbol(.rows), width, .f32),
          sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: tolerance)
      }
    }
  }

  static func selectCases() -> [OpCase] {
    [(5, 33, [Int32(4)]), (3, 64, [2, 0, 2, 1]), (33, 577, [32, 31, 7]), (4, 8, [])].map {
      rows, width, indices in
      var data = CaseData(seed: rows + width)
      return OpCase(
        title: "rows \(rows), width \(width), selecting \(indices.count)",
        operation: .pure(.selectRows),
        inputs: [
          floatRows(data.floats(rows * width), width: width),
          integers(indices, .symbol(.outputs)),
        ],
        parameters: [], output: (.symbol(.outputs), width, .f32),
        sizes: SymbolSizes(rows: rows, outputs: indices.count), tolerance: tolerance)
    }
  }
}
