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

  /// Says what is awkward about it: `rows 33, width 100`.
  package let title: String
  package let operation: Operation
  let inputs: [Input]
  let parameters: [Parameter]
  let output: (rows: Dimension, width: Int, format: Format)
  let sizes: SymbolSizes
  /// The largest normalised mean squared error that passes; 0 asks for the same bytes.
  package let tolerance: Double

  /// Operation and element type.
  package var key: OperationKey { OperationKey(operation, input: inputs.first?.format) }

  /// What the operation costs on this data.
  package var work: Work {
    func operand(_ rows: Dimension, _ width: Int, _ format: Format) -> Operand {
      Operand(
        region: Region(buffer: BufferID(index: 0)), rows: rows, width: width, format: format)
    }
    var sight = Sight()
    if case .attend = operation {
      sight = Sight(
        begin: inputs[2].integers, end: inputs[3].integers, table: inputs[4].integers)
    }
    return operation.work(
      inputs: inputs.map { operand($0.rows, $0.width, $0.format) },
      output: operand(output.rows, output.width, output.format), sizes: sizes, sight: sight)
  }

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
