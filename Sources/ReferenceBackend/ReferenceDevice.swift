package import Devices
package import ModelGraph
package import Tensors

/// The oracle: every operation in the clearest Swift, on one thread.
///
/// Float linear layers are summed in double precision. Everything else follows the arithmetic that
/// `PortableMath` lays down, so that a device may match it bit for bit; that this arithmetic is
/// close to the formulas is a test of its own (`OracleTests`). Far too slow for long texts.
package final class ReferenceDevice: Device {
  package let traits = DeviceTraits(
    kind: .reference, name: "reference", hardware: "host processor, one thread",
    driver: "plain Swift", largestAllocation: .max,
    alignment: HostMemory.alignment, readsMappedWeights: true)
  private var memory = HostMemory(device: "reference")
  private var log: LaunchLog?

  package init() {}

  package var ledger: MemoryLedger { memory.ledger }
  package func restartLedger() { memory.restartLedger() }

  package func support(_ operation: Operation, input: Format) -> Support {
    if case .pure(.attention) = operation {
      return .declined(reason: "attention runs over a cache: planning lowers it to attend")
    }
    return .native(variant: "swift")
  }

  package func allocate(_ id: BufferID, bytes: Int, label: String) throws(DeviceError) {
    try memory.allocate(id, bytes: bytes, label: label)
  }

  package func release(_ id: BufferID) { memory.release(id) }

  package func residentBytes(_ weight: Weight) -> Int { weight.bytes }

  package func load(
    _ weight: Weight, rows: Range<Int>, _ bytes: UnsafeRawBufferPointer, to region: Region
  ) throws(DeviceError) {
    let offset = region.offset + rows.lowerBound * weight.rowBytes
    try write(bytes, to: Region(buffer: region.buffer, offset: offset))
  }

  package func map(_ bytes: UnsafeRawBufferPointer, as id: BufferID) throws(DeviceError) {
    memory.map(bytes, as: id)
  }

  package func write(_ bytes: UnsafeRawBufferPointer, to region: Region) throws(DeviceError) {
    memory.bytes(region).copyMemory(from: bytes)
  }

  package func read(
    _ region: Region, into bytes: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory.bytes(region)[..<bytes.count]))
  }

  package func run(_ instructions: [Instruction], sizes: SymbolSizes) throws(DeviceError) {
    log?.begin(instructions, sizes)
    for index in instructions.indices {
      guard log != nil else {
        run(instructions[index], sizes)
        continue
      }
      let started = HostClock.now()
      run(instructions[index], sizes)
      let times = LaunchRecord.Times(started: started, ended: HostClock.now())
      log?.note(index, place: 0, variant: "swift", times)
    }
  }

  package func startRecording() { log = LaunchLog() }

  package var launchCount: Int { log?.count ?? 0 }

  package func takeRecords() -> LaunchLog { log?.take() ?? LaunchLog() }

  package func stopRecording() { log = nil }

  private func run(_ instruction: Instruction, _ sizes: SymbolSizes) {
    func floats(_ operand: Operand) -> Matrix<Float> {
      Matrix(memory.bytes(operand.region), rows: sizes[operand.rows], width: operand.width)
    }
    func integers(_ operand: Operand) -> Matrix<Int32> {
      Matrix(memory.bytes(operand.region), rows: sizes[operand.rows], width: operand.width)
    }
    /// All numbers of a matrix, one a row.
    func list(_ operand: Operand) -> Matrix<Int32> {
      Matrix(
        memory.bytes(operand.region), rows: sizes[operand.rows] * operand.width, width: 1)
    }
    func weight(_ index: Int) -> UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(memory.bytes(instruction.weights[index]))
    }
    let inputs = instruction.inputs
    let output = instruction.output
    switch instruction.operation {
    case .pure(.embedRows(let embed)):
      embedRows(embed, table: weight(0), tokens: integers(inputs[0]), into: floats(output))
    case .pure(.rmsNorm(let norm)):
      rmsNorm(norm, weight: weight(0), floats(inputs[0]), into: floats(output))
    case .pure(.linear(let layer)):
      let bias = layer.bias.map { ElementType.f32.decoded(weight(1), count: $0.width) }
      if inputs[0].format == .int8Blocks {
        linear(
          layer, weight: weight(0), bias: bias, int8: memory.bytes(inputs[0].region),
          into: floats(output))
      } else {
        linear(layer, weight: weight(0), bias: bias, floats(inputs[0]), into: floats(output))
      }
    case .pure(.rope(let rope)):
      turn(
        rope, frequencies: weight(0), floats(inputs[0]), positions: integers(inputs[1]),
        into: floats(output))
    case .pure(.add):
      add(floats(inputs[0]), floats(inputs[1]), into: floats(output))
    case .pure(.gated(let activation)):
      gated(activation, gate: floats(inputs[0]), up: floats(inputs[1]), into: floats(output))
    case .pure(.selectRows):
      selectRows(floats(inputs[0]), indices: integers(inputs[1]), into: floats(output))
    case .pure(.attention):
      preconditionFailure("planning lowers attention to attend")
    case .quantize:
      quantize(floats(inputs[0]), into: memory.bytes(output.region))
    case .rotateHeads(let rotation):
      rotate(rotation, floats(inputs[0]), into: floats(output))
    case .writeKV(let layout):
      writeKV(
        layout, keys: floats(inputs[0]), values: floats(inputs[1]), slots: integers(inputs[2]),
        into: memory.bytes(output.region), pages: sizes[output.rows])
    case .copyKV(let layout):
      copyKV(
        layout, sources: integers(inputs[0]), slots: integers(inputs[1]),
        pool: UnsafeRawBufferPointer(memory.bytes(inputs[2].region)), pages: sizes[inputs[2].rows],
        into: memory.bytes(output.region), targetPages: sizes[output.rows])
    case .boundPages(let layout):
      boundPages(
        layout, slots: integers(inputs[0]),
        pool: UnsafeRawBufferPointer(memory.bytes(inputs[1].region)), pages: sizes[inputs[1].rows],
        into: memory.bytes(output.region))
    case .scorePages(let attention, let layout):
      scorePages(
        attention, layout, queries: floats(inputs[0]),
        bounds: UnsafeRawBufferPointer(memory.bytes(inputs[1].region)), end: integers(inputs[2]),
        table: integers(inputs[3]), tables: integers(inputs[4]), into: floats(output))
    case .choosePages(let attention):
      choosePages(
        attention, scores: floats(inputs[0]), end: integers(inputs[1]),
        table: integers(inputs[2]), tables: integers(inputs[3]), into: integers(output))
    case .weighRows(let attention, let layout), .sumColumns(let attention, let layout):
      let visible = VisibleTokens(
        begin: integers(inputs[2]), end: integers(inputs[3]), table: integers(inputs[4]),
        tables: list(inputs[5]))
      let pool = UnsafeRawBufferPointer(memory.bytes(inputs[1].region))
      let pages = sizes[inputs[1].rows]
      if inputs.count == 7 {
        weighRows(
          attention, layout, queries: floats(inputs[0]), pool: pool, pages: pages, visible,
          observed: list(inputs[6]), into: floats(output))
      } else {
        sumColumns(
          attention, layout, queries: floats(inputs[0]), pool: pool, pages: pages, visible,
          observed: list(inputs[6]), weights: floats(inputs[7]), into: floats(output))
      }
    case .chooseTokens(let choice):
      chooseTokens(
        choice, columns: floats(inputs[0]), observed: list(inputs[1]), end: integers(inputs[2]),
        into: integers(output))
    case .placeTokens(let place):
      placeTokens(
        place, chosen: integers(inputs[0]), end: integers(inputs[1]), into: integers(output))
    case .gatherTokens(let layout):
      gatherTokens(
        layout, chosen: integers(inputs[0]),
        pool: UnsafeRawBufferPointer(memory.bytes(inputs[1].region)), pages: sizes[inputs[1].rows],
        table: integers(inputs[2]), tables: list(inputs[3]), into: memory.bytes(output.region))
    case .attend(let attention, let layout):
      let visible = VisibleTokens(
        begin: integers(inputs[2]), end: integers(inputs[3]), table: integers(inputs[4]),
        tables: list(inputs[5]), headStride: attention.tableStride)
      attend(
        attention, layout, queries: floats(inputs[0]),
        pool: UnsafeRawBufferPointer(memory.bytes(inputs[1].region)), pages: sizes[inputs[1].rows],
        visible, behind: attention.stage.follows ? floats(inputs[6]) : nil,
        into: floats(output))
    case .fused:
      for part in instruction.expansion { run(part, sizes) }
    }
  }
}
