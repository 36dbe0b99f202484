import COpenCL
import Devices
import DiskCache

/// The kernels of one device, built when they are first needed.
final class KernelCache {
  private let context: cl_context
  private let device: cl_device_id
  private let calls: CallCheck
  private var kernels: [Key: Kernel] = [:]
  private let programs: ProgramCache?
  /// No option that lets the compiler assume finite numbers or reorder sums.
  private static let options = "-cl-std=CL1.2"

  /// A table row and the values of the defines that differ from launch to launch.
  private struct Key: Hashable {
    var row: Int
    var values: [Int]
  }

  /// A built kernel.
  final class Kernel {
    private let owner: OwnedKernel
    var raw: cl_kernel { owner.raw }
    /// Its program, until it is on disk.
    fileprivate var draft: Draft?
    fileprivate var isUsed = true

    init(_ owner: consuming OwnedKernel, _ draft: Draft?) {
      self.owner = owner
      self.draft = draft
    }
  }

  /// A program that was built from source and is to be kept on disk.
  final class Draft {
    let key: CacheKey
    let name: String
    fileprivate let program: OwnedProgram

    init(_ program: consuming OwnedProgram, _ key: CacheKey, _ name: String) {
      self.program = program
      self.key = key
      self.name = name
    }
  }

  /// A cache that builds in a context which outlives it, and finds programs on disk where it has
  /// `programs`.
  init(
    context: cl_context, device: cl_device_id, calls: CallCheck, programs: ProgramCache? = nil
  ) {
    self.context = context
    self.device = device
    self.calls = calls
    self.programs = programs
  }

  /// From here on it counts which kernels are used: those that only a self-test used are not kept.
  func forgetUse() { for kernel in kernels.values { kernel.isUsed = false } }

  /// Puts the programs on disk that were built from source and used. Some drivers compile once more
  /// for that, so it is done when nobody waits.
  func keepPrograms() {
    guard let programs else { return }
    for kernel in kernels.values where kernel.isUsed {
      if let draft = kernel.draft {
        programs.store(draft.program.raw, under: draft.key, name: draft.name)
      }
      kernel.draft = nil
    }
  }

  /// The kernel of a table row for one launch.
  func kernel(_ row: Int, _ measures: Measures) throws(DeviceError) -> Kernel {
    let values = KernelTable.rows[row].defines.compactMap { define in
      if case .measure(let measure) = define.value { measures[measure] } else { nil }
    }
    let key = Key(row: row, values: values)
    if let kernel = kernels[key] {
      kernel.isUsed = true
      return kernel
    }
    let kernel = try build(KernelTable.rows[row], measures)
    kernels[key] = kernel
    return kernel
  }

  private func build(_ row: KernelRow, _ measures: Measures) throws(DeviceError) -> Kernel {
    let defines = row.defines.map { define in
      switch define.value {
      case .number(let number): (name: define.name, value: number)
      case .measure(let measure): (name: define.name, value: measures[measure])
      }
    }
    let words = ([row.program] + defines.map { "\($0.name)=\($0.value)" }).joined(separator: " ")
    let text = KernelSource.program(row.program, defines: defines)

    let key = programs?.key(source: text, options: Self.options)
    if let programs, let key, let kernel = kernel(row.entry, key, in: programs) { return kernel }

    var status = CL_SUCCESS
    let raw = text.withCString {
      apus_cl_create_program(context, $0, text.utf8.count, &status)
    }
    let program = OwnedProgram(
      raw: try calls.made(raw, status, "clCreateProgramWithSource", words))
    status = apus_cl_build_program(program.raw, device, Self.options)
    try calls.check(status, "clBuildProgram", "\(words)\(log(of: program.raw))")
    let kernel = OwnedKernel(
      raw: try calls.made(
        apus_cl_create_kernel(program.raw, row.entry, &status), status, "clCreateKernel",
        "\(row.entry) of \(words)"))
    guard let key else { return Kernel(kernel, nil) }
    let name = [row.program] + defines.filter { $0.value != 0 }.map { "\($0.name)=\($0.value)" }
    return Kernel(kernel, Draft(program, key, name.joined(separator: " ")))
  }

  /// The kernel of a program that an earlier process has built.
  private func kernel(_ entry: String, _ key: CacheKey, in programs: ProgramCache) -> Kernel? {
    guard let program = programs.program(key, in: context, for: device, options: Self.options)
    else { return nil }
    var status = CL_SUCCESS
    guard let raw = apus_cl_create_kernel(program.raw, entry, &status) else {
      programs.remove(key)
      return nil
    }
    return Kernel(OwnedKernel(raw: raw), nil)
  }

  /// The build log on lines of its own; a long one is cut, as its first errors tell most.
  private func log(of program: cl_program) -> String {
    let log = OpenCLDevices.text {
      apus_cl_build_info(program, device, cl_program_build_info(CL_PROGRAM_BUILD_LOG), $0, $1, $2)
    }
    if log.isEmpty { return "" }
    return "\n" + log.prefix(4000) + (log.count > 4000 ? "\n… (log cut)" : "")
  }
}
