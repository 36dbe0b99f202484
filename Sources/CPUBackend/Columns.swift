import CPUKernels
import Devices
import ModelGraph

extension CPUDevice {
  /// Peaks and inverse totals of the softmax of observed rows.
  func weighRows(
    _ attention: Attention, _ layout: KVLayout, _ bound: borrowing BoundInstruction
  ) {
    var arguments = observed(attention, layout, bound)
    arguments.weights = bound.floatOutput
    arguments.tokens = bound.rows(input: 1) * KVLayout.pageTokens
    call(cpu_weigh_rows, arguments)
  }

  /// What observed rows attend to each token.
  func sumColumns(
    _ attention: Attention, _ layout: KVLayout, _ bound: borrowing BoundInstruction
  ) {
    var arguments = observed(attention, layout, bound)
    arguments.weights = UnsafeMutablePointer(mutating: bound.floats(input: 7))
    arguments.columns = bound.floatOutput
    arguments.tokens = bound.output.width
    call(cpu_sum_columns, arguments)
  }

  private func observed(
    _ attention: Attention, _ layout: KVLayout, _ bound: borrowing BoundInstruction
  ) -> cpu_observe_arguments {
    var arguments = cpu_observe_arguments()
    arguments.rows.q = bound.floats(input: 0)
    arguments.rows.pool = bound.pool(layout, at: bound.bytes(input: 1), bound.inputs[1])
    arguments.rows.begin = bound.integers(input: 2)
    arguments.rows.end = bound.integers(input: 3)
    arguments.rows.table = bound.integers(input: 4)
    arguments.rows.tables = bound.integers(input: 5)
    arguments.rows.rows = bound.rows(input: 0)
    arguments.rows.heads = attention.headCount
    arguments.rows.scale = attention.scale
    arguments.observed = bound.integers(input: 6)
    arguments.count = bound.rows(input: 6)
    return arguments
  }
}
