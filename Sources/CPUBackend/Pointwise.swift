import CPUKernels
import Devices
import ModelGraph
import Tensors

extension CPUDevice {
  /// x / sqrt(mean(x²) + ε) × weight; the parts of a row that are normed apart are rows to the kernel.
  func rmsNorm(_ norm: RMSNorm, _ bound: borrowing BoundInstruction) {
    let arguments = arguments(norm, bound)
    call(cpu_rms_norm, arguments)
  }

  /// Pairs of each head turned by position × frequency.
  func turn(_ rope: Rope, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_rope_arguments(
      input: bound.floats(input: 0), positions: bound.integers(input: 1),
      frequencies: bound.floatWeight(0, count: rope.dimensions / 2), rows: bound.rows,
      heads: rope.headCount, head_width: rope.headWidth, dimensions: rope.dimensions,
      adjacent: rope.pairing == .adjacent, magnitude: rope.magnitude, output: bound.floatOutput)
    call(cpu_rope, arguments)
  }

  /// a + b
  func add(_ bound: borrowing BoundInstruction) {
    let arguments = pair(bound)
    call(cpu_add, arguments)
  }

  /// gate × sigmoid(gate, or what GELU makes of it) × up
  func gated(_ activation: GatedActivation, _ bound: borrowing BoundInstruction) {
    let arguments = pair(bound)
    switch activation {
    case .silu: call(cpu_gated_silu, arguments)
    case .gelu: call(cpu_gated_gelu, arguments)
    }
  }

  /// Int8 blocks of what `rmsNorm` makes.
  func normQuantize(_ norm: RMSNorm, _ bound: borrowing BoundInstruction) {
    let arguments = arguments(norm, bound)
    call(cpu_norm_quantize, arguments)
  }

  /// Int8 blocks of what `gated` makes.
  func gatedQuantize(_ activation: GatedActivation, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_gated_quantize_arguments(
      a: bound.floats(input: 0), b: bound.floats(input: 1), rows: bound.rows,
      width: bound.inputs[0].width, output: bound.outputAddress)
    switch activation {
    case .silu: call(cpu_quantize_silu, arguments)
    case .gelu: call(cpu_quantize_gelu, arguments)
    }
  }

  private func arguments(
    _ norm: RMSNorm, _ bound: borrowing BoundInstruction
  ) -> cpu_rms_norm_arguments {
    let width = norm.weight.width
    return cpu_rms_norm_arguments(
      input: bound.floats(input: 0), weight: bound.floatWeight(0, count: width),
      epsilon: norm.epsilon, rows: bound.rows * (bound.output.width / width), width: width,
      output: bound.outputAddress)
  }

  private func pair(_ bound: borrowing BoundInstruction) -> cpu_pair_arguments {
    cpu_pair_arguments(
      a: bound.floats(input: 0), b: bound.floats(input: 1),
      count: bound.rows * bound.output.width, output: bound.floatOutput)
  }

  /// The rows that the indices name.
  func selectRows(_ bound: borrowing BoundInstruction) {
    let arguments = cpu_select_arguments(
      input: bound.floats(input: 0), input_rows: bound.rows(input: 0),
      indices: bound.integers(input: 1), rows: bound.rows, width: bound.output.width,
      output: bound.floatOutput)
    call(cpu_select_rows, arguments)
  }
}
