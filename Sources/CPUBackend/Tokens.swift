import CPUKernels
import Devices

extension CPUDevice {
  /// The tokens that rows attend to.
  func chooseTokens(_ choice: TokenChoice, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_choose_tokens_arguments(
      columns: bound.floats(input: 0), observed: bound.integers(input: 1),
      end: bound.integers(input: 2), rows: bound.rows(input: 2), count: bound.rows(input: 1),
      heads: choice.headCount, kv_heads: choice.kvHeadCount, tokens: bound.inputs[0].width,
      share: UInt32(choice.share), chosen: bound.integerOutput)
    call(cpu_choose_tokens, arguments)
  }

  /// Where rows lie while they attend to them.
  func placeTokens(_ place: TokenPlace, _ bound: borrowing BoundInstruction) {
    let kind =
      switch place {
      case .source: CPU_PLACE_SOURCE
      case .end: CPU_PLACE_END
      case .target: CPU_PLACE_TARGET
      }
    let arguments = cpu_place_tokens_arguments(
      chosen: bound.integers(input: 0), end: bound.integers(input: 1), rows: bound.rows,
      place: kind, output: bound.integerOutput)
    call(cpu_place_tokens, arguments)
  }

  /// Their keys and values side by side.
  func gatherTokens(_ layout: KVLayout, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_gather_tokens_arguments(
      chosen: bound.integers(input: 0),
      pool: bound.pool(layout, at: bound.bytes(input: 1), bound.inputs[1]),
      table: bound.integers(input: 2), tables: bound.integers(input: 3),
      target: bound.outputAddress)
    call(cpu_gather_tokens, arguments)
  }
}

extension BoundInstruction {
  fileprivate var integerOutput: UnsafeMutablePointer<Int32>? {
    outputAddress?.assumingMemoryBound(to: Int32.self)
  }
}
