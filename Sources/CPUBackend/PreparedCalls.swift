import Devices
import ModelGraph

/// The calls that a list of instructions came to at some sizes, with the addresses of their operands: a list comes
/// again with each step, and to look its operands up takes as long as a short operation.
struct PreparedCalls {
  private let instructions: [Instruction]
  private let rows: Int
  private let outputs: Int
  private let calls: [() -> Void]

  init(_ instructions: [Instruction], _ sizes: SymbolSizes, _ calls: [() -> Void]) {
    self.instructions = instructions
    (rows, outputs) = (sizes.rows, sizes.outputs)
    self.calls = calls
  }

  /// Whether this is the very list, at the same sizes as far as operands depend on them.
  func holds(_ other: [Instruction], _ sizes: SymbolSizes) -> Bool {
    rows == sizes.rows && outputs == sizes.outputs && instructions.isThe(very: other)
  }

  func run() { for call in calls { call() } }
}

extension CPUDevice {
  /// Calls a kernel; where a list is being prepared, the call is noted.
  func call<Arguments>(
    _ kernel: @escaping (OpaquePointer?, OpaquePointer?, UnsafePointer<Arguments>?) -> Void,
    _ arguments: Arguments
  ) {
    let (kernels, pool) = (instructions.kernels, threads.handle)
    note { withUnsafePointer(to: arguments) { kernel(kernels, pool, $0) } }
  }
}
