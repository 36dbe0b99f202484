import COpenCL
package import Devices

extension OpenCLDevice {
  package func programs(
    _ isWanted: (_ program: String, _ entry: String) -> Bool
  ) throws(DeviceError) -> [ProgramText] {
    try kernels.programs(isWanted)
  }
}

extension KernelCache {
  /// The texts of programs that were built, in the order of the kernel table. Each is built once more for
  /// its log, which nobody keeps.
  func programs(
    _ isWanted: (_ program: String, _ entry: String) -> Bool
  ) throws(DeviceError) -> [ProgramText] {
    var texts: [ProgramText] = []
    let keys = programs.keys.sorted { first, second in
      first.row == second.row
        ? first.values.lexicographicallyPrecedes(second.values) : first.row < second.row
    }
    for key in keys {
      let row = KernelTable.rows[key.row]
      guard isWanted(row.program, row.entry) else { continue }
      var measured = key.values[...]
      let defines = row.defines.map { define in
        switch define.value {
        case .number(let number): (name: define.name, value: number)
        case .measure: (name: define.name, value: measured.popFirst() ?? 0)
        }
      }
      let source = KernelSource.program(row.program, shared: row.shared, defines: defines)
      texts.append(
        ProgramText(
          program: row.program, entry: row.entry, source: source,
          options: row.needs?.options ?? Self.options,
          log: try buildLog(source, row.program, row.needs?.options ?? Self.options)))
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
