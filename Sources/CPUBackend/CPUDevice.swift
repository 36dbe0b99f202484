import CPUKernels
package import Devices
package import ModelGraph
package import Tensors
import WeightTiles

/// The host's processor: C kernels for its instruction set, and OpenBLAS where that is installed.
///
/// Quantised weights are brought into tiles of 16 rows. Floats, and tables of which only rows are looked
/// up, are read where the file is mapped. Operations run one after the other, each spread over
/// the threads of a pool.
package final class CPUDevice: Device {
  package let traits: DeviceTraits

  /// Operations that a self-test found wrong on this machine, and how; they are declined.
  package var declined: [OperationKey: String]

  /// Rows from which OpenBLAS multiplies F32 matrices. It packs its operands in each call, which
  /// pays from 64 rows on: at 32 rows the own kernel is 1.25 times as fast, at 512 OpenBLAS is 1.35.
  package var rowsForBLAS = 64 { didSet { prepared = [] } }

  let instructions: InstructionSet
  let threads: ThreadPool
  let blas: BLAS?
  private var memory = HostMemory(device: "cpu") { didSet { prepared = [] } }
  /// The latest lists, as long as memory lies where it did, and the calls of one that runs for the first time.
  private var prepared: [PreparedCalls] = []
  private var noted: [() -> Void]?
  private var log: LaunchLog?
  /// When the last launch ended; the next one began then, so that one look at the clock serves both.
  private var reached: Int64 = 0

  /// - Parameters:
  ///   - threads: How many threads compute, or nil for one on each CPU that the process may use.
  ///   - instructions: The kernels to use, or nil for the best that this CPU has.
  ///   - blas: Whether OpenBLAS may serve float matrices.
  ///   - declined: Operations that shall not run here, and why.
  package init(
    threads: Int? = nil, instructions: InstructionSet? = nil, blas: Bool = true,
    declined: [OperationKey: String] = [:]
  ) {
    self.instructions = instructions ?? .best
    self.threads = ThreadPool(threads: threads)
    self.blas = blas ? BLAS() : nil
    self.declined = declined
    traits = DeviceTraits(
      kind: .cpu, name: "cpu", hardware: String(cString: cpu_brand()),
      driver: "Apus C kernels (\(self.instructions.name)), "
        + (self.blas?.description ?? (blas ? "OpenBLAS not found" : "without OpenBLAS")),
      largestAllocation: .max, alignment: HostMemory.alignment, readsMappedWeights: true,
      units: self.threads.count)
  }

  package var ledger: MemoryLedger { memory.ledger }
  package func restartLedger() { memory.restartLedger() }

  package func allocate(_ id: BufferID, bytes: Int, label: String) throws(DeviceError) {
    try memory.allocate(id, bytes: bytes, label: label)
  }

  package func release(_ id: BufferID) { memory.release(id) }

  package func residentBytes(_ weight: Weight) -> Int { weight.tileBytes }

  package func load(
    _ weight: Weight, rows: Range<Int>, _ bytes: UnsafeRawBufferPointer, to region: Region
  ) throws(DeviceError) {
    let part = weight.part(rows: rows.count)
    precondition(bytes.count == part.bytes, "\(weight.name) has other bytes than its shape")
    // Tiles follow one another, so those in front of a part are as long as a weight of those rows.
    let front = rows.lowerBound == 0 ? 0 : residentBytes(weight.part(rows: rows.lowerBound))
    let target = Region(buffer: region.buffer, offset: region.offset + front)
    guard let type = weight.type.tileType else { return try write(bytes, to: target) }
    let tiles = memory.bytes(target)
    precondition(tiles.count >= residentBytes(part), "\(weight.name) reaches beyond its buffer")
    weight_tiles_write(
      type, bytes.baseAddress, part.rows, part.width, Int32(threads.count), tiles.baseAddress)
  }

  package func readsMapped(_ weight: Weight, by operations: [Operation]) -> Bool {
    !weight.type.isQuantized
      || operations.allSatisfy { if case .pure(.embedRows) = $0 { true } else { false } }
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
    if log != nil {
      log?.begin(instructions, sizes)
      reached = HostClock.now()
    } else {
      if let known = prepared.first(where: { $0.holds(instructions, sizes) }) { return known.run() }
      noted = []
    }
    instructions.withUnsafeBufferPointer {
      guard let first = $0.baseAddress else { return }
      for index in $0.indices { run(first + index, sizes, index) }
    }
    guard let calls = noted else { return }
    noted = nil
    // Steps of a token, of a prompt's parts and of its last one come again.
    if prepared.count == 4 { prepared.removeFirst() }
    prepared.append(PreparedCalls(instructions, sizes, calls))
  }

  /// Does what a kernel's call does, and notes it for when the list comes again.
  func note(_ call: @escaping () -> Void) {
    call()
    noted?.append(call)
  }

  /// Runs an instruction, a fused one that has no kernel as its parts; index and place are for the log.
  private func run(
    _ instruction: UnsafePointer<Instruction>, _ sizes: SymbolSizes, _ index: Int, place: Int = 0
  ) {
    guard instruction.pointee.expansion.isEmpty || isOneKernel(instruction.pointee.operation) else {
      instruction.pointee.expansion.withUnsafeBufferPointer {
        guard let first = $0.baseAddress else { return }
        for number in $0.indices {
          run(first + number, sizes, index, place: LaunchLog.place(of: number, in: place))
        }
      }
      return
    }
    guard log != nil else {
      return run(BoundInstruction(instruction, sizes: sizes, memory: memory))
    }
    run(BoundInstruction(instruction, sizes: sizes, memory: memory))
    let times = LaunchRecord.Times(started: reached, ended: HostClock.now())
    reached = times.ended
    log?.note(index, place: place, variant: variant(instruction.pointee, sizes), times)
  }

  package func startRecording() { log = LaunchLog() }

  package var launchCount: Int { log?.count ?? 0 }

  package func takeRecords() -> LaunchLog { log?.take() ?? LaunchLog() }

  package func stopRecording() { log = nil }

  private func run(_ bound: borrowing BoundInstruction) {
    switch bound.instruction.pointee.operation {
    case .pure(.embedRows(let embed)): embedRows(embed, bound)
    case .pure(.rmsNorm(let norm)): rmsNorm(norm, bound)
    case .pure(.linear(let layer)): linear(layer, bound)
    case .pure(.rope(let rope)): turn(rope, bound)
    case .pure(.add): add(bound)
    case .pure(.gated(let activation)): gated(activation, bound)
    case .pure(.selectRows): selectRows(bound)
    case .pure(.attention): preconditionFailure("planning lowers attention to attend")
    case .quantize: quantize(bound)
    case .rotateHeads(let rotation): rotate(rotation, bound)
    case .writeKV(let layout): writeKV(layout, bound)
    case .copyKV(let layout): copyKV(layout, bound)
    case .boundPages(let layout): boundPages(layout, bound)
    case .scorePages(let attention, let layout): scorePages(attention, layout, bound)
    case .choosePages(let attention): choosePages(attention, bound)
    case .attend(let attention, let layout): attend(attention, layout, bound)
    case .weighRows(let attention, let layout): weighRows(attention, layout, bound)
    case .sumColumns(let attention, let layout): sumColumns(attention, layout, bound)
    case .chooseTokens(let choice): chooseTokens(choice, bound)
    case .placeTokens(let place): placeTokens(place, bound)
    case .gatherTokens(let layout): gatherTokens(layout, bound)
    case .fused(.normQuantize(let norm)): normQuantize(norm, bound)
    case .fused(.gatedQuantize(let activation)): gatedQuantize(activation, bound)
    case .fused(.linearAdd(let layer)): linear(layer, plus: bound.floats(input: 1), bound)
    case .fused: preconditionFailure("other fused operations run as their parts")
    }
  }
}
