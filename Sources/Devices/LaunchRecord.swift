package import ModelGraph

/// One launch of a kernel, as it went: what it was, and when.
package struct LaunchRecord: Sendable, Hashable {
  /// When a launch passed each stage, in nanoseconds of ``HostClock``.
  package struct Times: Sendable, Hashable {
    /// The host began to hand it over.
    package var enqueued: Int64
    /// It was in the queue.
    package var queued: Int64
    /// The queue handed it to the device.
    package var submitted: Int64
    package var started: Int64
    package var ended: Int64

    package init(
      enqueued: Int64, queued: Int64, submitted: Int64, started: Int64, ended: Int64
    ) {
      self.enqueued = enqueued
      self.queued = queued
      self.submitted = submitted
      self.started = started
      self.ended = ended
    }

    /// Those of a device that runs a launch at once, on the thread that asks for it.
    package init(started: Int64, ended: Int64) {
      self.init(
        enqueued: started, queued: started, submitted: started, started: started, ended: ended)
    }

    /// Nanoseconds that the device worked on it.
    package var duration: Int64 { ended - started }
  }

  package var instruction: Instruction
  package var sizes: SymbolSizes
  /// The kernel: `gemm/linear_tiles 16×8`, `avx512-vnni`, …
  package var variant: String
  package var times: Times
  /// Whether the host waited for it, since the device keeps no times.
  package var isWaitedFor = false
  /// Whether it finishes what the launch before it began: that one counts for the whole instruction.
  package var isSequel = false
  /// What attention saw; whoever planned the step knows it, and the device does not.
  package var sight = Sight()

  package init(
    _ instruction: Instruction, sizes: SymbolSizes, variant: String, times: Times
  ) {
    self.instruction = instruction
    self.sizes = sizes
    self.variant = variant
    self.times = times
  }

  package var label: String { instruction.label }
  package var layer: Int? { instruction.layer }
  /// Operation and element type.
  package var key: OperationKey {
    OperationKey(instruction.operation, input: instruction.inputs.first?.format)
  }
  /// Rows that were worked on.
  package var rows: Int {
    sizes[
      instruction.output.format.countsPages
        ? instruction.inputs[0].rows : instruction.output.rows]
  }
  /// Rows, inputs and outputs: `128 × 576 → 1536`.
  package var shape: String {
    let inputs = instruction.inputs.first?.width ?? 0
    if instruction.output.format.countsPages { return "\(rows) × \(inputs) → pages" }
    return "\(rows) × \(inputs) → \(instruction.output.width)"
  }
  /// What it cost at the least.
  package var work: Work { isSequel ? Work() : instruction.work(sizes: sizes, sight: sight) }
}
