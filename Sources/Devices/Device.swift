package import ModelGraph
package import Tensors

/// What planning and reports need to know of a device.
package struct DeviceTraits: Sendable, Hashable {
  package enum Kind: String, Sendable, Hashable {
    case reference
    case cpu
    case opencl
  }

  package var kind: Kind
  /// How a user names it: `cpu`, `reference`, `opencl:0`.
  package var name: String
  /// The hardware, as the driver or the system names it.
  package var hardware: String
  /// Driver and version, or the library and instruction set that compute.
  package var driver: String
  /// The largest single buffer, in bytes.
  package var largestAllocation: Int
  /// Offsets of operands and weights in a buffer are multiples of this.
  package var alignment: Int
  /// Whether weights can be read where the file is mapped, instead of being loaded; of which ones,
  /// `Device.readsMapped` says.
  package var readsMappedWeights: Bool
  /// Bytes of the device's own memory, or nil where it computes in the host's.
  package var ownMemory: Int?
  /// Threads or compute units that it uses.
  package var units: Int

  package init(
    kind: Kind, name: String, hardware: String, driver: String, largestAllocation: Int,
    alignment: Int, readsMappedWeights: Bool, ownMemory: Int? = nil, units: Int = 1
  ) {
    self.kind = kind
    self.name = name
    self.hardware = hardware
    self.driver = driver
    self.largestAllocation = largestAllocation
    self.alignment = alignment
    self.readsMappedWeights = readsMappedWeights
    self.ownMemory = ownMemory
    self.units = units
  }
}

/// The whole contract of a backend. A device belongs to one thread; all calls are made there.
package protocol Device: AnyObject {
  var traits: DeviceTraits { get }

  /// Whether the device runs `operation` when its first input has the given format.
  func support(_ operation: Operation, input: Format) -> Support

  /// Goes on with a plainer kernel for an operation whose results are wrong or whose kernel does not
  /// build; `reason` says so in reports. False where there is none.
  func fallBack(_ operation: Operation, input: Format, reason: String) -> Bool

  /// Makes a buffer under an id that is free.
  func allocate(_ id: BufferID, bytes: Int, label: String) throws(DeviceError)

  /// Frees a buffer, or forgets a mapped one; an unknown id is ignored.
  func release(_ id: BufferID)

  /// Bytes that a weight takes in this device's own layout.
  func residentBytes(_ weight: Weight) -> Int

  /// Bytes that `load` takes on the host for so many rows, beside those it is given.
  func stagingBytes(_ weight: Weight, rows: Int) -> Int

  /// Brings some rows of a weight from the file's layout into the device's own. `region` is the
  /// place of the whole weight. Rows come in parts, so that loading takes little memory beside the
  /// weight: a part starts at a multiple of `Weight.rowsInPart`.
  func load(
    _ weight: Weight, rows: Range<Int>, _ bytes: UnsafeRawBufferPointer, to region: Region
  ) throws(DeviceError)

  /// Whether a weight is read where the file is mapped, if it is for these operations only. Not asked
  /// where `traits.readsMappedWeights` is false.
  func readsMapped(_ weight: Weight, by operations: [Operation]) -> Bool

  /// Makes mapped memory readable under an id, without a copy. Only called where
  /// `traits.readsMappedWeights`; the caller keeps the memory valid until `release`.
  func map(_ bytes: UnsafeRawBufferPointer, as id: BufferID) throws(DeviceError)

  /// Copies bytes to the device.
  func write(_ bytes: UnsafeRawBufferPointer, to region: Region) throws(DeviceError)

  /// Waits for the work that was submitted and copies bytes back.
  func read(_ region: Region, into bytes: UnsafeMutableRawBufferPointer) throws(DeviceError)

  /// Bytes of scratch memory that an instruction needs while it runs, at sizes up to these. The
  /// regions of its operands need not exist yet.
  func workspaceBytes(_ instruction: Instruction, bounds: SymbolSizes) -> Int

  /// Submits instructions in order; each sees the results of those before it.
  func run(_ instructions: [Instruction], sizes: SymbolSizes) throws(DeviceError)

  /// Notes a record of every launch from now on. Costs nothing before.
  func startRecording() throws(DeviceError)

  /// Launches that were noted since the start, or since they were taken.
  var launchCount: Int { get }

  /// The records since the start or the last call, in order; waits for the work that was submitted.
  func takeRecords() throws(DeviceError) -> LaunchLog

  /// Notes nothing any more and forgets what was not taken.
  func stopRecording() throws(DeviceError)

  /// Measures what the device reaches at best; nil where that says nothing. Takes a second or two.
  func measureRoofline() throws(DeviceError) -> Roofline?

  /// The programs that were built so far and that `isWanted`, by their path and entry.
  func programs(
    _ isWanted: (_ program: String, _ entry: String) -> Bool
  ) throws(DeviceError) -> [ProgramText]

  /// Bytes that are allocated now, and at most so far.
  var ledger: MemoryLedger { get }

  /// Counts anew what is taken at most: what came before belongs to somebody else.
  func restartLedger()
}

extension Device {
  /// Nothing: a device that keeps no records has none to give.
  package func startRecording() throws(DeviceError) {}
  package var launchCount: Int { 0 }
  package func takeRecords() throws(DeviceError) -> LaunchLog { LaunchLog() }
  package func stopRecording() throws(DeviceError) {}
  package func measureRoofline() throws(DeviceError) -> Roofline? { nil }
  package func programs(
    _ isWanted: (_ program: String, _ entry: String) -> Bool
  ) throws(DeviceError) -> [ProgramText] { [] }

  /// There is one kernel for each operation.
  package func fallBack(_ operation: Operation, input: Format, reason: String) -> Bool { false }

  /// Nothing, for a device whose ledger is another one's.
  package func restartLedger() {}

  /// All are.
  package func readsMapped(_ weight: Weight, by operations: [Operation]) -> Bool { true }

  /// Nothing: the device copies what it is given.
  package func stagingBytes(_ weight: Weight, rows: Int) -> Int { 0 }

  /// Nothing: operations work in registers, or on the device's own stack.
  package func workspaceBytes(_ instruction: Instruction, bounds: SymbolSizes) -> Int { 0 }

  /// Brings a whole weight.
  package func load(
    _ weight: Weight, _ bytes: UnsafeRawBufferPointer, to region: Region
  ) throws(DeviceError) {
    try load(weight, rows: 0..<weight.rows, bytes, to: region)
  }
}

extension Weight {
  /// Rows that always come together, as many as a device may interleave.
  package static let rowsInPart = 16

  /// As many rows as fit into so many bytes, in whole parts and one part at least.
  package func rows(within bytes: Int) -> Int {
    min(rows, max(1, bytes / rowBytes / Self.rowsInPart) * Self.rowsInPart)
  }

  /// The first rows, to ask for the layout of so many.
  package func part(rows: Int) -> Weight {
    guard let part = slice(rows: 0..<rows) else {
      preconditionFailure("a part is one row at least and the weight at most")
    }
    return part
  }
}

/// A program as a device's compiler gets it, and what the compiler said.
package struct ProgramText: Sendable, Hashable {
  /// Its path without the ending: `gemm/linear_tiles`.
  package var program: String
  /// The kernel function.
  package var entry: String
  /// Defines, and all the text after them.
  package var source: String
  package var options: String
  package var log: String

  package init(program: String, entry: String, source: String, options: String, log: String) {
    self.program = program
    self.entry = entry
    self.source = source
    self.options = options
    self.log = log
  }
}

/// What a device has allocated on behalf of Apus, in bytes; a driver's own memory is not in it.
package struct MemoryLedger: Sendable, Hashable {
  package private(set) var current = 0
  package private(set) var peak = 0
  /// The most that `load` took on the host for one part of a weight.
  package private(set) var staging = 0

  package init() {}

  package mutating func add(_ bytes: Int) {
    current += bytes
    peak = max(peak, current)
  }

  package mutating func remove(_ bytes: Int) { current -= bytes }

  /// Forgets what was taken at most before now.
  package mutating func restart() {
    peak = current
    staging = 0
  }

  /// Notes what one part of a weight took, which is given back by now.
  package mutating func stage(_ bytes: Int) { staging = max(staging, bytes) }
}

/// A call that a device refused or that failed.
package struct DeviceError: Error, Sendable, Hashable, CustomStringConvertible {
  /// `opencl:0`, `cpu`, …
  package var device: String
  /// The call that failed: `clBuildProgram`, `allocate`, …
  package var call: String
  /// The status by name: `CL_OUT_OF_RESOURCES`, …
  package var status: String
  /// The program, buffer or operation concerned, and a build log where there is one.
  package var detail: String

  package init(device: String, call: String, status: String, detail: String) {
    self.device = device
    self.call = call
    self.status = status
    self.detail = detail
  }

  package var description: String { "\(device): \(call) failed with \(status): \(detail)" }
}
