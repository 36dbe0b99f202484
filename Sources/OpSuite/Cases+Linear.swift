import Devices
import ModelGraph
import Tensors

extension OpSuite {
  /// rows × outputs × inputs: one, tails of every tile, long rows, no rows. Among the tiny ones are
  /// five rows with more than eight blocks and more than 16, and, of blocks of 32, with two tiles of outputs and
  /// one row with so many that they are read side by side.
  private static let quantizedShapes = [
    (1, 1, 32), (1, 33, 64), (2, 5, 96), (3, 17, 32), (8, 16, 64), (2, 33, 96), (5, 4, 288),
    (5, 17, 96), (5, 3, 544), (9, 48, 96), (33, 33, 576), (1, 200, 1536), (17, 65, 160),
    (65, 33, 96), (4, 33, 320), (6, 35, 4864), (1, 60, 96), (1, 124, 64), (1, 18, 4864), (0, 4, 32),
  ]
  /// The same for blocks of 256.
  private static let wideShapes = [
    (1, 1, 256), (1, 33, 512), (2, 5, 768), (3, 17, 256), (5, 3, 512), (5, 2, 768), (9, 48, 256),
    (33, 33, 512), (1, 40, 1536), (17, 65, 256), (65, 33, 256), (4, 33, 768), (6, 35, 4864),
    (1, 124, 512), (0, 4, 256),
  ]
  private static let floatShapes = [
    (1, 1, 1), (1, 33, 33), (2, 5, 100), (3, 17, 7), (8, 16, 64), (33, 33, 577), (65, 40, 130),
    (0, 4, 8),
  ]

  static func linearCases() -> [OpCase] {
    ElementType.allCases.flatMap { type in
      shapes(type).enumerated().flatMap { index, shape in
        (type.isQuantized ? ActivationFormat.allCases : [.f32]).map { activations in
          linearCase(
            type, activations, rows: shape.0, outputs: shape.1, inputs: shape.2,
            hasBias: index % 3 == 1)
        }
      }
    }
  }

  private static func shapes(_ type: ElementType) -> [(Int, Int, Int)] {
    switch type.blockLength {
    case 1: floatShapes
    case 32: quantizedShapes
    default: wideShapes
    }
  }

  private static func linearCase(
    _ type: ElementType, _ activations: ActivationFormat, rows: Int, outputs: Int, inputs: Int,
    hasBias: Bool
  ) -> OpCase {
    var data = CaseData(seed: rows + 100 * outputs + 10_000 * inputs)
    let weight = described("w", type, rows: outputs, width: inputs)
    let bias = hasBias ? described("b", .f32, rows: 1, width: outputs) : nil
    var parameters = [
      OpCase.Parameter(
        weight: weight, bytes: data.weights(type, outputs * inputs, scale: 0.1))
    ]
    if let bias {
      parameters.append(.init(weight: bias, bytes: rawBytes(data.floats(outputs))))
    }
    let x = data.floats(rows * inputs)
    return OpCase(
      title: "rows \(rows), outputs \(outputs), inputs \(inputs)\(hasBias ? ", bias" : "")",
      operation: .pure(.linear(Linear(weight: weight, bias: bias, activations: activations))),
      inputs: [
        OpCase.Input(
          rows: .symbol(.rows), width: inputs, format: activations == .int8 ? .int8Blocks : .f32,
          bytes: activations == .int8 ? int8Rows(x, width: inputs) : rawBytes(x))
      ],
      parameters: parameters, output: (.symbol(.rows), outputs, .f32),
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: tolerance)
  }

  static func quantizeCases() -> [OpCase] {
    [(1, 32), (3, 64), (33, 576), (2, 1536), (0, 32)].map { rows, width in
      var data = CaseData(seed: rows + width)
      var x = data.floats(rows * width)
      // A block of zeros, one too small for a scale, and one with a lone peak.
      for (index, value) in [Float(0), 1e-38].enumerated() where rows > index {
        for j in 0..<32 { x[index * width + j] = value }
      }
      if rows > 2 { x[2 * width] = 1e20 }
      return OpCase(
        title: "rows \(rows), width \(width)", operation: .quantize,
        inputs: [floatRows(x, width: width)], parameters: [],
        output: (.symbol(.rows), width, .int8Blocks),
        sizes: SymbolSizes(rows: rows, outputs: 0),
        // A device that does not fuse is an ulp off, so a tie may round the other way: a step of
        // 127 in an element or two.
        tolerance: 1e-6)
    }
  }

  static func int8Rows(_ x: [Float], width: Int) -> [UInt8] {
    let stride = Int8Activations.rowBytes(width)
    var bytes = [UInt8](repeating: 0, count: x.count / width * stride)
    bytes.withUnsafeMutableBytes { target in
      x.withUnsafeBufferPointer { source in
        for row in 0..<x.count / width {
          Int8Activations.quantize(
            UnsafeBufferPointer(rebasing: source[row * width..<(row + 1) * width]),
            into: UnsafeMutableRawBufferPointer(
              rebasing: target[row * stride..<(row + 1) * stride]))
        }
      }
    }
    return bytes
  }

  /// A weight that is known to be well formed.
  static func described(_ name: String, _ type: ElementType, rows: Int, width: Int) -> Weight {
    guard let weight = Weight(name: name, type: type, rows: rows, width: width) else {
      preconditionFailure("case with a row of \(width) that \(type.name) cannot hold")
    }
    return weight
  }

  static func floatRows(_ x: [Float], width: Int) -> OpCase.Input {
    OpCase.Input(rows: .symbol(.rows), width: width, format: .f32, bytes: rawBytes(x))
  }

  static func integers(_ values: [Int32], _ rows: Dimension = .symbol(.rows)) -> OpCase.Input {
    OpCase.Input(rows: rows, width: 1, format: .i32, bytes: rawBytes(values))
  }
}
