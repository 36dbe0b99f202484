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
  /// Multiplications and additions, to tell tiny cases.
  package let flops: Int

  /// Operation and element type.
  package var key: OperationKey { OperationKey(operation, input: inputs.first?.format) }

  /// Small enough for an interpreter, and for the self-test at start.
  package var isTiny: Bool { flops <= 20_000 }

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
