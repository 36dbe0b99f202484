package import Devices
import ModelGraph
import Tensors

/// One operation with its data: what tests, the self-test and `apus devices --check` share.
package struct OpCase: Sendable {
  /// A matrix that the operation reads.
  package struct Input: Sendable {
    var rows: Dimension
    var width: Int
    var format: Format
    var bytes: [UInt8]

    /// The bytes as 32-bit integers.
    var integers: [Int32] {
      bytes.withUnsafeBytes { raw in
        (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
      }
    }
  }

  /// A weight in the file's layout, or a constant.
  package struct Parameter: Sendable {
    /// Nil for a constant.
    var weight: Weight?
    var bytes: [UInt8]
  }

  typealias Shape = (rows: Dimension, width: Int, format: Format)

  /// One of the operations that a fused one stands for.
  struct Part: Sendable {
    var operation: Operation
    var inputs: [Place]
    /// Places in `parameters`.
    var parameters: [Int] = []
    var output: Place
    var parts: [Part] = []
  }

  /// Where a part finds an operand.
  enum Place: Sendable {
    case input(Int)
    /// What passes between parts, by number.
    case between(Int, Shape)
    case output
  }

  /// Says what is awkward about it: `rows 33, width 100`.
  package let title: String
  package let operation: Operation
  let inputs: [Input]
  let parameters: [Parameter]
  let output: Shape
  /// An input that the operation writes to as well: a page pool.
  var written: Int?
  /// Of a fused operation, what it stands for.
  var parts: [Part] = []
  let sizes: SymbolSizes
  /// The largest normalised mean squared error that passes; 0 asks for the same bytes.
  package let tolerance: Double

  /// Operation and element type.
  package var key: OperationKey { OperationKey(operation, input: inputs.first?.format) }

  /// What the operation costs on this data.
  package var work: Work {
    func operand(_ buffer: Int, _ shape: Shape) -> Operand {
      Operand(
        region: Region(buffer: BufferID(index: buffer)), rows: shape.rows, width: shape.width,
        format: shape.format)
    }
    let result = operand(inputs.count, output)
    let operands = inputs.enumerated().map { index, input in
      operand(index, (input.rows, input.width, input.format))
    }
    func place(_ place: Place) -> Operand {
      switch place {
      case .input(let index): operands[index]
      case .between(let number, let shape): operand(inputs.count + 1 + number, shape)
      case .output: result
      }
    }
    func instruction(_ part: Part) -> Instruction {
      Instruction(
        part.operation, inputs: part.inputs.map(place), output: place(part.output), label: title,
        expansion: part.parts.map(instruction))
    }
    var sight = Sight()
    switch operation {
    case .attend, .weighRows, .sumColumns, .fused(.attendQuantize):
      sight = Sight(
        begin: inputs[2].integers, end: inputs[3].integers, table: inputs[4].integers)
    case .scorePages:
      sight = Sight(
        begin: inputs[2].integers.map { _ in 0 }, end: inputs[2].integers,
        table: inputs[3].integers)
    case .choosePages:
      sight = Sight(
        begin: inputs[1].integers.map { _ in 0 }, end: inputs[1].integers,
        table: inputs[2].integers)
    default: break
    }
    let whole = Part(
      operation: operation, inputs: inputs.indices.map { .input($0) }, output: .output,
      parts: parts)
    return instruction(whole).work(sizes: sizes, sight: sight)
  }

  /// The format of the first input.
  var format: Format { inputs.first?.format ?? .f32 }

  /// Small enough for an interpreter, and for the self-test at start.
  package var isTiny: Bool { max(work.flops, work.bytes / 4) <= 20_000 }

  var outputBytes: Int { sizes[output.rows] * output.format.rowBytes(output.width) }
}

/// How a device did on one case.
package enum Verdict: Sendable {
  /// Within tolerance; the normalised mean squared error against the reference.
  case passed(error: Double)
  /// Out of tolerance, or wrote where it must not.
  case wrong(reason: String, error: Double)
  /// The device refused the operation beforehand.
  case declined(reason: String)
  /// A call failed.
  case failed(DeviceError)
}
