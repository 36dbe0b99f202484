import CPUKernels
package import Devices
package import ModelGraph

extension CPUDevice {
  /// Each row's key and value to its slot.
  func writeKV(_ layout: KVLayout, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_write_kv_arguments(
      k: bound.floats(input: 0), v: bound.floats(input: 1), slots: bound.integers(input: 2),
      rows: bound.rows, pool: bound.pool(layout, at: bound.outputAddress, bound.output))
    call(cpu_write_kv, arguments)
  }

  /// Each row's key and value from a slot of one pool to a slot of another.
  func copyKV(_ layout: KVLayout, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_copy_kv_arguments(
      sources: bound.integers(input: 0), slots: bound.integers(input: 1), rows: bound.rows,
      from: bound.pool(layout.latest, at: bound.bytes(input: 2), bound.inputs[2]),
      to: bound.pool(layout, at: bound.outputAddress, bound.output))
    call(cpu_copy_kv, arguments)
  }

  /// Each head times a Hadamard matrix.
  func rotate(_ rotation: HeadRotation, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_rotate_arguments(
      input: bound.floats(input: 0), rows: bound.rows, width: bound.output.width,
      block_width: rotation.blockWidth, factor: rotation.factor, output: bound.floatOutput)
    call(cpu_rotate, arguments)
  }

  /// Threads that share the tokens of a few rows need a place for what each of them finds.
  package func workspaceBytes(_ instruction: Instruction, bounds: SymbolSizes) -> Int {
    threads.count > 1 ? AttentionParts(instruction, bounds: bounds)?.bytes ?? 0 : 0
  }

  /// softmax(scale × q kᵀ) v over the tokens that each row sees.
  func attend(
    _ attention: Attention, _ layout: KVLayout, _ bound: borrowing BoundInstruction
  ) {
    let parts = bound.workspace
    let arguments = cpu_attend_arguments(
      q: bound.floats(input: 0),
      pool: bound.pool(layout, at: bound.bytes(input: 1), bound.inputs[1]),
      begin: bound.integers(input: 2), end: bound.integers(input: 3),
      table: bound.integers(input: 4), tables: bound.integers(input: 5),
      head_stride: attention.tableStride, rows: bound.rows, heads: attention.headCount,
      scale: attention.scale, before: attention.stage.follows ? bound.floats(input: 6) : nil,
      leaves: attention.stage.leaves,
      output: bound.floatOutput,
      parts: parts?.address.assumingMemoryBound(to: Float.self), parts_rows: parts?.rows ?? 0,
      spans: parts?.spans ?? 0, tile_rows: 0)
    call(cpu_attend, arguments)
  }
}

extension BoundInstruction {
  /// A page pool whose pages `operand` counts, or their bounds.
  func pool(
    _ layout: KVLayout, at pages: UnsafeMutableRawPointer?, _ operand: Operand
  ) -> cpu_kv_pool {
    cpu_kv_pool(
      pages: pages, page_count: rows(operand), type: layout.element.kept,
      heads: layout.headCount, head_width: layout.headWidth)
  }
}

extension KVLayout.Element {
  fileprivate var kept: cpu_kv_type {
    switch self {
    case .f16: CPU_KV_F16
    case .bf16: CPU_KV_BF16
    case .f32: CPU_KV_F32
    case .i16: CPU_KV_I16
    case .q8: CPU_KV_Q8
    case .q4: CPU_KV_Q4
    case .k4v2: CPU_KV_K4V2
    case .k2v2: CPU_KV_K2V2
    }
  }
}
