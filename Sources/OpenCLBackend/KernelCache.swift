import COpenCL
import Devices
import DiskCache

/// The programs of one device, built when they are first needed.
final class KernelCache {
  let context: cl_context
  let device: cl_device_id
  let calls: CallCheck
  let description: OpenCLDevices.Description
  var programs: [Key: Program] = [:]
  /// Programs of whole steps that were found right.
  var linked: [Program] = []

  /// A program and the values of its defines.
  struct Key: Hashable {
    var program: String
    var entry: String
    var options: String
    var names: [String]
    var values: [Int]

    var defines: [(name: String, value: Int)] {
      zip(names, values).map { (name: $0, value: $1) }
    }
  }

  /// A built program.
  final class Program {
    let owner: OwnedProgram
    /// Texts that it shares with others.
    let shared: [String]
    /// Whether it came from disk.
    let isKept: Bool
    /// How it is to be kept on disk, until it is.
    fileprivate var draft: (key: CacheKey, name: String)?
    fileprivate var isUsed = true

    init(
      _ owner: consuming OwnedProgram, shared: [String], isKept: Bool = false,
      draft: (key: CacheKey, name: String)? = nil
    ) {
      self.owner = owner
      self.shared = shared
      self.isKept = isKept
      self.draft = draft
    }
  }

  let disk: ProgramCache?

  /// A cache that builds in a context which outlives it, and finds programs on disk where it has a
  /// place there.
  init(
    context: cl_context, device: cl_device_id, calls: CallCheck,
    description: OpenCLDevices.Description, disk: ProgramCache? = nil
  ) {
    self.context = context
    self.device = device
    self.calls = calls
    self.description = description
    self.disk = disk
  }

  /// From here on it counts which programs are used: those that only a self-test used are not kept.
  func forgetUse() { for program in programs.values { program.isUsed = false } }

  /// Whether all programs so far came from disk: then a process before this one built them.
  var foundAllOnDisk: Bool { disk != nil && programs.values.allSatisfy(\.isKept) }

  /// Puts the programs on disk that were built from source and used. Some drivers compile once more
  /// for that, so it is done when nobody waits.
  func keepPrograms() {
    guard let disk else { return }
    for program in Array(programs.values) + linked where program.isUsed {
      if let draft = program.draft {
        disk.store(program.owner.raw, under: draft.key, name: draft.name)
      }
      program.draft = nil
    }
  }

  /// The compiler's options for a program: none lets it assume finite numbers or reorder sums.
  func options(_ needs: Feature? = nil) -> String {
    "-cl-std=\(needs?.language ?? "CL1.2")"
      + (description.splitsFMA ? " -DSPLITS_FMA=1" : "")
      + (description.prefetches ? " -DPREFETCHES=1" : "")
      + (description.hasIntelCores ? " -DINTEL_CORES=1" : "")
  }

  /// A new kernel of a table row for one instruction.
  func kernel(_ row: KernelRow, _ measures: Measures) throws(DeviceError) -> OwnedKernel {
    let values = row.defines.map { define in
      switch define.value {
      case .number(let number): number
      case .measure(let measure): measures[measure]
      }
    }
    let key = Key(
      program: row.program, entry: row.entry, options: options(row.needs),
      names: row.defines.map(\.name), values: values)
    let program: Program
    if let built = programs[key] {
      program = built
      program.isUsed = true
    } else {
      program = try build(key, shared: row.shared)
      programs[key] = program
    }
    let entry = row.entry
    var status = CL_SUCCESS
    return OwnedKernel(
      raw: try calls.made(
        apus_cl_create_kernel(program.owner.raw, entry, &status), status, "clCreateKernel",
        "\(entry) of \(row.program)"))
  }

  private func build(_ wanted: Key, shared: [String]) throws(DeviceError) -> Program {
    let defines = wanted.defines
    let words = ([wanted.program] + defines.map { "\($0.name)=\($0.value)" }).joined(separator: " ")
    let options = wanted.options
    let key = disk?.key(
      source: KernelSource.identity(wanted.program, shared: shared, defines: defines),
      options: options)
    if let disk, let key,
      let program = disk.program(
        key, in: context, for: device, options: options, entry: wanted.entry)
    {
      return Program(program, shared: shared, isKept: true)
    }

    let text = KernelSource.program(wanted.program, shared: shared, defines: defines)
    var status = CL_SUCCESS
    let raw = text.withCString {
      apus_cl_create_program(context, $0, text.utf8.count, &status)
    }
    let program = OwnedProgram(
      raw: try calls.made(raw, status, "clCreateProgramWithSource", words))
    status = apus_cl_build_program(program.raw, device, options)
    try calls.check(status, "clBuildProgram", "\(words)\(log(of: program.raw))")
    let name = [wanted.program] + defines.filter { $0.value != 0 }.map { "\($0.name)=\($0.value)" }
    return Program(program, shared: shared, draft: key.map { ($0, name.joined(separator: " ")) })
  }

  /// The build log on lines of its own; a long one is cut, as its first errors tell most.
  func log(of program: cl_program) -> String {
    let log = OpenCLDevices.text {
      apus_cl_build_info(program, device, cl_program_build_info(CL_PROGRAM_BUILD_LOG), $0, $1, $2)
    }
    if log.isEmpty { return "" }
    return "\n" + log.prefix(4000) + (log.count > 4000 ? "\n… (log cut)" : "")
  }
}
