import COpenCL
package import Devices

extension OpenCLDevice {
  package func programs(
    _ isWanted: (_ program: String, _ entry: String) -> Bool
  ) throws(DeviceError) -> [ProgramText] {
    // Those too that were not needed, as steps were one launch.
    try buildLaunches()
    return try kernels.programs(isWanted)
  }
}

extension KernelCache {
  /// The texts of programs that were built, in the order of their names. Each is built once more for
  /// its log, which nobody keeps.
  func programs(
    _ isWanted: (_ program: String, _ entry: String) -> Bool
  ) throws(DeviceError) -> [ProgramText] {
    var texts: [ProgramText] = []
    let built = programs.sorted { first, second in
      let (a, b) = (first.key, second.key)
      if (a.program, a.entry) != (b.program, b.entry) {
        return (a.program, a.entry) < (b.program, b.entry)
      }
      return a.values.lexicographicallyPrecedes(b.values)
    }
    for (key, program) in built where isWanted(key.program, key.entry) {
      let source = KernelSource.program(
        key.program, shared: program.shared, defines: key.defines)
      texts.append(
        ProgramText(
          program: key.program, entry: key.entry, source: source, options: key.options,
          log: try buildLog(source, key.program, key.options)))
    }
    return texts
  }

  /// What the compiler says of a program; that it was refused is in the log.
  private func buildLog(
    _ source: String, _ name: String, _ options: String
  ) throws(DeviceError) -> String {
    var status = CL_SUCCESS
    let raw = source.withCString {
      apus_cl_create_program(context, $0, source.utf8.count, &status)
    }
    let program = OwnedProgram(
      raw: try calls.made(raw, status, "clCreateProgramWithSource", name))
    status = apus_cl_build_program(program.raw, device, options)
    return "\(OpenCLDevices.name(of: status))\(log(of: program.raw))\n"
  }
}
