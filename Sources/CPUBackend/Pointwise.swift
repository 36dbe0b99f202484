import CPUKernels
import Devices
import ModelGraph

extension CPUDevice {
  /// x / sqrt(mean(x²) + ε) × weight
  func rmsNorm(_ norm: RMSNorm, _ bound: borrowing BoundInstruction) {
    let width = bound.output.width
    var arguments = cpu_rms_norm_arguments(
      input: bound.floats(input: 0), weight: bound.floatWeight(0, count: width),
      epsilon: norm.epsilon, rows: bound.rows, width: width, output: bound.floatOutput)
    cpu_rms_norm(instructions.kernels, threads.handle, &arguments)
  }

  /// Pairs of each head turned by position × frequency.
  func turn(_ rope: Rope, _ bound: borrowing BoundInstruction) {
    var arguments = cpu_rope_arguments(
      input: bound.floats(input: 0), positions: bound.integers(input: 1),
      frequencies: bound.floatWeight(0, count: rope.dimensions / 2), rows: bound.rows,
      heads: rope.headCount, head_width: rope.headWidth, dimensions: rope.dimensions,
      adjacent: rope.pairing == .adjacent, output: bound.floatOutput)
    cpu_rope(instructions.kernels, threads.handle, &arguments)
  }

  /// a + b
  func add(_ bound: borrowing BoundInstruction) {
    var arguments = pair(bound)
    cpu_add(instructions.kernels, threads.handle, &arguments)
  }

  /// gate / (1 + exp(−gate)) × up
  func gatedSiLU(_ bound: borrowing BoundInstruction) {
    var arguments = pair(bound)
    cpu_gated_silu(instructions.kernels, threads.handle, &arguments)
  }

  private func pair(_ bound: borrowing BoundInstruction) -> cpu_pair_arguments {
    cpu_pair_arguments(
      a: bound.floats(input: 0), b: bound.floats(input: 1),
      count: bound.rows * bound.output.width, output: bound.floatOutput)
  }

  /// The rows that the indices name.
  func selectRows(_ bound: borrowing BoundInstruction) {
    var arguments = cpu_select_arguments(
      input: bound.floats(input: 0), input_rows: bound.rows(input: 0),
      indices: bound.integers(input: 1), rows: bound.rows, width: bound.output.width,
      output: bound.floatOutput)
    cpu_select_rows(instructions.kernels, threads.handle, &arguments)
  }
}
