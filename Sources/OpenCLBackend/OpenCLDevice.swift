import COpenCL
package import Devices
package import DiskCache
package import ModelGraph
package import Tensors

/// A device that a driver offers through OpenCL 1.2. It belongs to one thread.
///
/// Commands go to one in-order queue: `run` submits and returns, `read` waits. Kernels are built
/// when they are first needed and kept.
package final class OpenCLDevice: Device {
  package let traits: DeviceTraits
  package var ledger = MemoryLedger()

  private let declined: [OperationKey: String]
  /// What tells the device and its driver from others.
  package let identity: [String]
  /// The device, or its part.
  let handle: cl_device_id
  let description: OpenCLDevices.Description
  let computeUnits: Int

  /// Notes launches while somebody wants them.
  var recorder: LaunchRecorder?

  let features: Set<Feature>
  /// The table's rows for each kind of operation that this device may reach, in order.
  private(set) var rows: [OperationKind: [Int]]
  /// Rows that it could have taken but fails with, and what went wrong.
  private var dropped: [Int: String] = [:]
  /// What it is tuned to, and the rows that follow from it, numbered behind those of the table.
  package private(set) var tuning = Tuning()
  private var tuned: [KernelRow] = []

  // Released in this order: what is made in a context before the context.
  private var buffers: [BufferID: OwnedBuffer] = [:]
  /// Those that the host writes into, until a command needs them.
  var open: [OpenBuffer] = []
  private(set) var prepared: [PreparedList] = []
  /// For launches, which the device holds.
  private lazy var maker = PreparedLaunch.Maker(kernels: kernels) { [unowned self] in
    buffer($0.buffer).raw
  }
  let kernels: KernelCache
  var queue: OwnedQueue
  let context: OwnedContext
  private let part: OwnedSubDevice?

  let stepMode: StepMode
  /// Workers of a step that is one launch.
  let workers: Int

  /// Whether commands may still run that use a buffer.
  var isBusy = false {
    didSet { if oldValue, !isBusy { recorder?.waited() } }
  }

  /// Takes the device `opencl:<index>`.
  ///
  /// - Parameters:
  ///   - index: its place in ``OpenCLDevices/list()``.
  ///   - threads: compute units to use of a CPU device; nil or more than there are takes all.
  ///   - declined: operations that failed the self-test on this driver, and what went wrong.
  ///   - programs: where built programs are kept for the next process, or nil to build all anew.
  ///   - features: what rows of the kernel table may use; nil for all that the device offers.
  ///   - steps: how steps of one token and parts of prompts run.
  /// - Throws: ``DeviceError`` where there is no such device or the driver refuses.
  package init(
    index: Int, threads: Int? = nil, declined: [OperationKey: String] = [:],
    programs: DiskCache? = nil, features: Set<Feature>? = nil, steps: StepMode = .launches
  ) throws(DeviceError) {
    let name = "opencl:\(index)"
    let handle: OpenCLDevices.Handle
    switch OpenCLDevices.handles() {
    case .failure(let missing):
      throw DeviceError(
        device: name, call: "open", status: "no OpenCL", detail: missing.reason)
    case .success(let devices):
      guard devices.indices.contains(index) else {
        throw DeviceError(
          device: name, call: "open", status: "no such device",
          detail: "there are \(devices.count) OpenCL devices, numbered from 0")
      }
      handle = devices[index]
    }
    let description = OpenCLDevices.describe(handle, index: index)
    let calls = CallCheck(device: name)

    var device = handle.device
    var status = CL_SUCCESS
    if let threads, description.isCPU, threads > 0, threads < description.computeUnits {
      guard description.isDivisible else {
        throw DeviceError(
          device: name, call: "clCreateSubDevices", status: "not supported",
          detail: "\(description.name) always uses its \(description.computeUnits) compute units; "
            + "leave out the number of threads (-t)")
      }
      let raw = apus_cl_create_sub_device(device, cl_uint(threads), &status)
      let made = try calls.made(raw, status, "clCreateSubDevices", "\(threads) compute units")
      part = OwnedSubDevice(raw: made)
      device = made
      computeUnits = threads
    } else {
      part = nil
      computeUnits = description.computeUnits
    }
    let context = OwnedContext(
      raw: try calls.made(
        apus_cl_create_context(device, &status), status, "clCreateContext", description.name))
    let queue = OwnedQueue(
      raw: try calls.made(
        apus_cl_create_queue(context.raw, device, &status), status, "clCreateCommandQueue",
        description.name))
    identity = OpenCLDevices.identity(of: handle, description)
    let identity = identity
    kernels = KernelCache(
      context: context.raw, device: device, calls: calls, description: description,
      disk: programs.map { ProgramCache($0, description, identity) })
    self.context = context
    self.queue = queue
    self.handle = device
    self.description = description
    self.declined = declined
    self.features = features ?? description.features
    rows = KernelTable.reached(by: self.features, without: [])
    self.calls = calls
    stepMode = steps
    workers = min(computeUnits, Int(apus_cl_host_processors()))
    let stepObstacle = Self.obstacle(steps, description, workers: workers)
    traits = DeviceTraits(
      kind: .opencl, name: name, hardware: description.name,
      driver: "\(description.platform) \(description.driver)",
      largestAllocation: description.largestAllocation, alignment: 128, readsMappedWeights: false,
      ownMemory: description.sharesHostMemory ? nil : description.memory, units: computeUnits,
      steps: stepObstacle.map { "by a launch for each operation: \($0)" }
        ?? "by one launch, once that was found to have the same bits as launches for each operation"
    )
  }

  let calls: CallCheck

  deinit {
    // A buffer must not go while a command uses it, or while it is mapped; some drivers abort.
    try? closeBuffers()
    if isBusy { _ = apus_cl_finish(queue.raw) }
    if part != nil { apus_cl_let_settle() }
    kernels.keepPrograms()
  }

  /// To be called when a self-test is done: programs that nothing uses from here on are not kept.
  package func endSelfTest() { kernels.forgetUse() }

  package func support(_ operation: Operation, input: Format) -> Support {
    guard let kind = OperationKind(operation, input: input),
      let numbers = rows[kind]
    else {
      let type = operation.typeName(input)
      return .declined(reason: "no OpenCL kernel for \(operation.name) \(type)")
    }
    if let reason = declined[OperationKey(operation, input: input)] {
      return .declined(reason: reason)
    }
    let table = numbers.map(row)
    let variants = table.map(\.variant).joined(separator: "|")
    let failures = Set(dropped.filter { row($0.key).kind == kind }.values)
    return .native(
      variant: (["\(table[0].program) \(variants)"] + failures.sorted()).joined(separator: "; "))
  }

  package func fallBack(_ operation: Operation, input: Format, reason: String) -> Bool {
    guard let kind = OperationKind(operation, input: input) else { return false }
    var numbers = (rows[kind] ?? []).filter { $0 >= KernelTable.rows.count }
    if numbers.isEmpty {
      // With them those that stand behind, in case a tuning wants them, and need the same.
      let needs = Set((rows[kind] ?? []).compactMap { KernelTable.rows[$0].needs })
      numbers = KernelTable.rows.indices.filter { number in
        let row = KernelTable.rows[number]
        return row.kind == kind && dropped[number] == nil
          && row.needs.map(needs.contains) == true
      }
    }
    for number in numbers {
      let part = number < KernelTable.rows.count ? row(number).needs?.rawValue ?? "" : "tuning"
      dropped[number] = "without \(part): \(reason)"
    }
    chooseRows()
    return !numbers.isEmpty
  }

  /// Prefers from now on what a tuning says; one without choices takes back what another said.
  package func use(_ tuning: Tuning) {
    self.tuning = tuning
    tuned = KernelTable.tuned(tuning, by: features)
    dropped = dropped.filter { $0.key < KernelTable.rows.count }
    chooseRows()
  }

  /// Whether a kernel is chosen otherwise than it would be without a tuning.
  package var isTuned: Bool { !tuned.isEmpty }

  private func chooseRows() {
    rows = KernelTable.reached(by: features, without: Set(dropped.keys), tuned: tuned)
    if isBusy { isBusy = apus_cl_finish(queue.raw) != CL_SUCCESS }
    forgetLists()
  }

  /// A row of the kernel table, or of the tuning.
  func row(_ number: Int) -> KernelRow {
    let beyond = number - KernelTable.rows.count
    return beyond < 0 ? KernelTable.rows[number] : tuned[beyond]
  }

  package func allocate(_ id: BufferID, bytes: Int, label: String) throws(DeviceError) {
    precondition(buffers[id] == nil, "buffer ids are unique")
    guard bytes <= traits.largestAllocation else {
      throw DeviceError(
        device: traits.name, call: "allocate", status: "too large",
        detail: "\(label) needs \(bytes) bytes at once, but this driver gives at most "
          + "\(traits.largestAllocation)")
    }
    var status = CL_SUCCESS
    // OpenCL has no empty buffers.
    let raw = apus_cl_create_buffer(context.raw, max(bytes, 1), &status)
    buffers[id] = OwnedBuffer(
      raw: try calls.made(raw, status, "clCreateBuffer", "\(bytes) bytes for \(label)"),
      bytes: bytes)
    ledger.add(bytes)
  }

  package func release(_ id: BufferID) {
    guard buffers[id] != nil else { return }
    try? closeBuffers()
    if isBusy { isBusy = apus_cl_finish(queue.raw) != CL_SUCCESS }
    // They are bound to the buffer.
    forgetLists()
    if let buffer = buffers.removeValue(forKey: id) { ledger.remove(buffer.bytes) }
  }

  /// Drops what is kept of lists; nothing of it may be running.
  private func forgetLists() {
    for list in prepared {
      for case .oneLaunch(let step) in list.steps.values { ledger.remove(step.bytes) }
    }
    prepared = []
  }

  /// Counts the memory of a list that is kept.
  func account(for step: StepLaunch) { ledger.add(step.bytes) }

  package func restartLedger() { ledger.restart() }

  package func residentBytes(_ weight: Weight) -> Int { ResidentLayout.bytes(weight) }

  package func map(_ bytes: UnsafeRawBufferPointer, as id: BufferID) throws(DeviceError) {
    preconditionFailure("an OpenCL device does not read mapped weights")
  }

  package func write(_ bytes: UnsafeRawBufferPointer, to region: Region) throws(DeviceError) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    try closeBuffers()
    let target = buffer(region.buffer).raw
    try calls.check(
      apus_cl_write_buffer(queue.raw, target, region.offset, bytes.count, source),
      "clEnqueueWriteBuffer", "\(bytes.count) bytes to buffer \(region.buffer.index)")
    isBusy = false
  }

  package func read(
    _ region: Region, into bytes: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    guard let target = bytes.baseAddress, !bytes.isEmpty else { return }
    try closeBuffers()
    let source = buffer(region.buffer).raw
    try calls.check(
      apus_cl_read_buffer(queue.raw, source, region.offset, bytes.count, target),
      "clEnqueueReadBuffer", "\(bytes.count) bytes of buffer \(region.buffer.index)")
    isBusy = false
  }

  package func run(_ instructions: [Instruction], sizes: SymbolSizes) throws(DeviceError) {
    try closeBuffers()
    let list = prepare(instructions)
    try recorder?.begin(instructions, sizes, isIdle: !isBusy)
    if try runAsOne(instructions, of: list, sizes) {
      return try calls.check(apus_cl_flush(queue.raw), "clFlush", "a step")
    }
    for index in instructions.indices { try submit(instructions[index], index, of: list, sizes) }
    try calls.check(apus_cl_flush(queue.raw), "clFlush", "a step")
    // While the device works.
    try recorder?.collectEnded()
  }

  func buffer(_ id: BufferID) -> OwnedBuffer {
    guard let buffer = buffers[id] else {
      preconditionFailure("buffer \(id.index) of \(traits.name) does not exist")
    }
    return buffer
  }
}

// The one launch path.
extension OpenCLDevice {
  /// What is kept of a list of instructions.
  private func prepare(_ instructions: [Instruction]) -> PreparedList {
    if let list = prepared.first(where: { $0.holds(instructions) }) { return list }
    // Whoever runs ever new lists gains nothing from old ones.
    if prepared.count >= 32 {
      if isBusy { isBusy = apus_cl_finish(queue.raw) != CL_SUCCESS }
      forgetLists()
    }
    let list = PreparedList(instructions)
    prepared.append(list)
    return list
  }

  /// Makes the kernels of all launches so far.
  func buildLaunches() throws(DeviceError) {
    for list in prepared {
      for slot in list.slots { for launch in slot.launches { _ = try launch.built() } }
    }
  }

  /// Submits one instruction of a list.
  private func submit(
    _ instruction: Instruction, _ index: Int, of list: PreparedList, _ sizes: SymbolSizes
  ) throws(DeviceError) {
    try prepare(instruction, index, of: list, sizes)
    for launch in list.slots[index].current {
      isBusy = true
      if let recorder {
        try recorder.enqueue(launch, of: index, singly: description.isCPU)
      } else {
        try launch.enqueue(on: queue.raw, singly: description.isCPU)
      }
    }
  }

  /// Brings the launches of one instruction of a list to the sizes of a step.
  func prepare(
    _ instruction: Instruction, _ index: Int, of list: PreparedList, _ sizes: SymbolSizes
  ) throws(DeviceError) {
    let sizes = list.slots[index].relevant(sizes)
    if list.slots[index].sizes != sizes {
      list.slots[index].sizes = nil
      list.slots[index].current = []
      try prepare(Measures(instruction: instruction, sizes: sizes), 0, &list.slots[index])
      list.slots[index].sizes = sizes
    }
  }

  /// Adds the launches of an instruction at some sizes to its slot, or none where there are no rows; a
  /// fused one that no kernel serves at these sizes is launched as its parts. `place` tells those apart.
  private func prepare(
    _ measures: Measures, _ place: Int, _ slot: inout PreparedList.Slot
  ) throws(DeviceError) {
    let count = measures[.rows]
    let instruction = measures.instruction
    guard count > 0, let first = instruction.inputs.first else { return }
    var next = OperationKind(instruction.operation, input: first.format)
    repeat {
      guard let kind = next,
        let number = rows[kind]?.first(where: {
          row($0).serves(rows: count, measures)
        })
      else {
        precondition(
          !instruction.expansion.isEmpty,
          "\(instruction.label) was placed on a device that declines it")
        for (index, part) in instruction.expansion.enumerated() {
          let measures = Measures(instruction: part, sizes: measures.sizes)
          try prepare(measures, LaunchLog.place(of: index, in: place), &slot)
        }
        return
      }
      let items = items(of: measures)
      if let launch = slot.launches.first(where: { $0.number == number && $0.place == place }) {
        try launch.resize(measures, items: items)
        slot.current.append(launch)
      } else {
        let launch = try PreparedLaunch(
          row(number), number: number, place: place, measures, items: items, on: maker)
        slot.launches.append(launch)
        slot.current.append(launch)
      }
      next = row(number).then
    } while next != nil
  }

  /// How many work-items keep the device busy, or nil where more are always better. Few of them means
  /// long loops.
  private func items(of measures: Measures) -> Int? {
    guard description.isCPU else { return nil }
    return description.endsLongLoops ? computeUnits * 8 : measures.items(computeUnits)
  }

  /// Rows whose spans are worked on apart need a place for what each of them gathers.
  package func workspaceBytes(_ instruction: Instruction, bounds: SymbolSizes) -> Int {
    guard let first = instruction.inputs.first,
      let kind = OperationKind(instruction.operation, input: first.format),
      rows[kind]?.contains(where: { row($0).then != nil }) == true
    else { return 0 }
    return AttentionParts(instruction, bounds: bounds)?.bytes ?? 0
  }
}
