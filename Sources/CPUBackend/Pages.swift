import CPUKernels
import Devices
import ModelGraph

extension CPUDevice {
  /// Bounds of the pages that the rows fill.
  func boundPages(_ layout: KVLayout, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_bound_pages_arguments(
      slots: bound.integers(input: 0), rows: bound.rows,
      pool: bound.pool(layout, at: bound.bytes(input: 1), bound.inputs[1]),
      bounds: bound.outputAddress)
    call(cpu_bound_pages, arguments)
  }

  /// What no product of a kv head's queries with a key of a page exceeds.
  func scorePages(
    _ attention: Attention, _ layout: KVLayout, _ bound: borrowing BoundInstruction
  ) {
    let arguments = cpu_score_pages_arguments(
      q: bound.floats(input: 0), pool: bound.pool(layout, at: nil, bound.inputs[1]),
      bounds: bound.bytes(input: 1),
      end: bound.integers(input: 2), table: bound.integers(input: 3),
      tables: bound.integers(input: 4), rows: bound.rows, heads: attention.headCount,
      scale: attention.scale, count: attention.pages?.count ?? 0,
      stride: bound.output.width / attention.kvHeadCount, scores: bound.floatOutput)
    call(cpu_score_pages, arguments)
  }

  /// The pages with the best scores.
  func choosePages(_ attention: Attention, _ bound: borrowing BoundInstruction) {
    let arguments = cpu_choose_pages_arguments(
      scores: bound.floats(input: 0), end: bound.integers(input: 1),
      table: bound.integers(input: 2), tables: bound.integers(input: 3), rows: bound.rows,
      heads: attention.kvHeadCount, count: attention.pages?.count ?? 0,
      window: attention.pages?.window ?? 1, stride: bound.inputs[0].width / attention.kvHeadCount,
      chosen: bound.outputAddress?.assumingMemoryBound(to: Int32.self))
    call(cpu_choose_pages, arguments)
  }
}
