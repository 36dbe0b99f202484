import COpenCL
import Devices
import DiskCache

/// The program of a whole step: kernels of the table as functions, and one kernel that calls them.
///
/// Each program is compiled as it stands, but for its kernels' names and for where they find their work-item,
/// so that functions and defines of the same name do not meet; the driver links them.
struct StepProgram {
  /// A kernel of the table with the values of its defines: what an opcode stands for.
  struct Part: Hashable {
    /// The row's number on the device, and the row.
    let number: Int
    let row: KernelRow
    let values: [Int]

    init(_ number: Int, _ row: KernelRow, _ measures: Measures) {
      self.number = number
      self.row = row
      values = row.defines.map { define in
        switch define.value {
        case .number(let number): number
        case .measure(let measure): measures[measure]
        }
      }
    }

    static func == (a: Part, b: Part) -> Bool { a.number == b.number && a.values == b.values }

    func hash(into hasher: inout Hasher) {
      hasher.combine(number)
      hasher.combine(values)
    }
  }

  static let entry = "run_step"

  /// A program of the table with the values of its defines.
  private struct Text: Hashable {
    let program: String
    let shared: [String]
    let names: [String]
    let values: [Int]

    var defines: [(name: String, value: Int)] { zip(names, values).map { (name: $0, value: $1) } }
  }
  private let programs: [Text]
  /// Calls their functions.
  private let caller: String
  private let defines: [(name: String, value: Int)]
  private static let program = "step/step"

  /// The opcodes.
  let opcodes: [Part: Int]

  /// What is linked, in the order of what it calls: the last text has the kernel.
  var texts: [String] {
    programs.enumerated().map { number, text in
      Self.functions(of: text.program, number)
        + KernelSource.program(text.program, shared: text.shared, defines: text.defines)
    } + [caller + KernelSource.program(Self.program, shared: [], defines: defines)]
  }

  /// What tells these from any other texts.
  var identity: [String] {
    programs.enumerated().flatMap { number, text in
      [Self.functions(of: text.program, number)]
        + KernelSource.identity(text.program, shared: text.shared, defines: text.defines)
    } + [caller] + KernelSource.identity(Self.program, shared: [], defines: defines)
  }

  /// The program for some parts and so many slabs of memory.
  ///
  /// - Parameters:
  ///   - parts: kernels of the table; one may come more than once.
  ///   - slabs: how many there are.
  ///   - yields: whether the driver takes assembly for Linux on x86-64.
  ///   - alone: whether there is one worker, which waits for nobody.
  init(_ parts: [Part], slabs: Int, yields: Bool, alone: Bool) {
    var opcodes: [Part: Int] = [:]
    // Programs, and the table's entries of each.
    var programs: [Text] = []
    var numbers: [Text: Int] = [:]
    var prototypes: [String] = []
    var cases: [String] = []
    for part in parts where opcodes[part] == nil {
      let row = part.row
      let text = Text(
        program: row.program, shared: row.shared, names: row.defines.map(\.name),
        values: part.values)
      let number = numbers[text] ?? programs.count
      if number == programs.count {
        numbers[text] = number
        programs.append(text)
      }
      let name = Self.name(row.entry, number)
      let opcode = opcodes.count
      opcodes[part] = opcode
      let (parameters, arguments) = Self.signature(row)
      let prototype = "void \(name)(uint4 item, \(parameters));\n"
      if !prototypes.contains(prototype) { prototypes.append(prototype) }
      cases.append("  case \(opcode): \(name)(item, \(arguments)); break;\n")
    }
    let names = (0..<slabs).map { "slab_\($0)" }
    caller =
      prototypes.joined() + """
        static inline void run_phase(
            uint opcode, uint4 item, global const ulong *words, global uchar *const *slabs)
        {
          switch (opcode) {
        \(cases.joined())  }
        }
        #define SLAB_PARAMETERS \(names.map { "global uchar *\($0)" }.joined(separator: ", "))
        #define SLABS \(names.joined(separator: ", "))

        """
    self.programs = programs
    defines = [
      (name: "SLAB_COUNT", value: slabs), (name: "YIELDS", value: yields ? 1 : 0),
      (name: "ALONE", value: alone ? 1 : 0),
    ]
    self.opcodes = opcodes
  }

  /// Lines that make functions of a program's kernels, which get their work-item as an argument.
  private static func functions(of program: String, _ number: Int) -> String {
    let defines = [
      "kernel", "get_global_id(dimension) ((size_t)((dimension) == 0 ? item.x : item.y))",
      "get_global_size(dimension) ((size_t)((dimension) == 0 ? item.z : item.w))",
    ]
    let functions = (entries[program] ?? []).map {
      "\($0)(...) \(name($0, number))(uint4 item, __VA_ARGS__)"
    }
    return (defines + functions).map { "#define \($0)\n" }.joined()
  }

  /// The kernels of each program of the table.
  private static let entries = Dictionary(grouping: KernelTable.rows, by: \.program)
    .mapValues { Set($0.map(\.entry)).sorted() }

  /// Programs may have entries of the same name.
  private static func name(_ entry: String, _ number: Int) -> String { "\(entry)_\(number)" }

  /// The types of a kernel's parameters, and its arguments from words.
  private static func signature(_ row: KernelRow) -> (parameters: String, arguments: String) {
    var parameters: [String] = []
    var arguments: [String] = []
    for argument in row.arguments {
      let word = "words[\(arguments.count)]"
      switch argument.whole {
      case .input, .weight, .bias, .output, .left, .workspace:
        parameters += ["global uchar *", "ulong"]
        arguments += ["slabs[\(word)]", "words[\(arguments.count + 1)]"]
      case .number, .zero:
        parameters.append("float")
        arguments.append("as_float((uint)\(word))")
      case .count, .each, .part:
        parameters.append("uint")
        arguments.append("(uint)\(word)")
      }
    }
    return (parameters.joined(separator: ", "), arguments.joined(separator: ", "))
  }
}

extension Argument {
  /// What it is, of whatever part.
  fileprivate var whole: Argument {
    if case .part(_, let argument) = self { argument.whole } else { self }
  }
}

extension KernelCache {
  /// A step has the kernels that the device prefers, and so its assembly.
  private var stepOptions: String { options(description.features.first(where: \.isAssembly)) }

  /// A step's program, from disk or built; nil where it is not on disk and is not to be built.
  func program(_ step: StepProgram, builds: Bool) throws(DeviceError) -> Program? {
    let key = disk?.key(source: step.identity, options: stepOptions)
    var found: OwnedProgram?
    if let disk, let key {
      found = disk.program(
        key, in: context, for: device, options: stepOptions, entry: StepProgram.entry)
    }
    if let kept = found.take() { return Program(kept, shared: [], isKept: true) }
    guard builds else { return nil }
    return Program(try link(step.texts), shared: [], draft: key.map { ($0, "step/step") })
  }

  /// Notes that a step's program does what launches do: it is kept for other processes.
  func keep(_ step: Program) { linked.append(step) }

  /// The kernel of a step's program.
  func kernel(_ step: Program) throws(DeviceError) -> OwnedKernel {
    var status = CL_SUCCESS
    return OwnedKernel(
      raw: try calls.made(
        apus_cl_create_kernel(step.owner.raw, StepProgram.entry, &status), status, "clCreateKernel",
        "\(StepProgram.entry) of step/step"))
  }

  private func link(_ texts: [String]) throws(DeviceError) -> OwnedProgram {
    var compiled: [Program] = []
    for text in texts {
      var status = CL_SUCCESS
      let raw = text.withCString { apus_cl_create_program(context, $0, text.utf8.count, &status) }
      let program = OwnedProgram(
        raw: try calls.made(raw, status, "clCreateProgramWithSource", "step/step"))
      status = apus_cl_compile_program(program.raw, device, stepOptions)
      try calls.check(status, "clCompileProgram", "step/step\(log(of: program.raw))")
      compiled.append(Program(program, shared: []))
    }
    var status = CL_SUCCESS
    let parts = compiled.map { Optional($0.owner.raw) }
    let raw = apus_cl_link_program(context, device, cl_uint(parts.count), parts, &status)
    let program = OwnedProgram(raw: try calls.made(raw, status, "clLinkProgram", "step/step"))
    try calls.check(status, "clLinkProgram", "step/step\(log(of: program.raw))")
    return program
  }
}
