public import Apus
public import ArgumentParser

extension DeviceChoice: ExpressibleByArgument {
  /// Reads a `--device` value.
  public init?(argument: String) { self.init(argument) }

  /// Values that shells complete.
  public static var allValueStrings: [String] { ["auto", "cpu", "reference", "opencl"] }
}

extension Activations: ExpressibleByArgument {}
extension LoadMode: ExpressibleByArgument {}
extension PersistentKernel: ExpressibleByArgument {}
extension KVType: ExpressibleByArgument {}
extension KVPolicy: ExpressibleByArgument {}
extension PrefillSparsity: ExpressibleByArgument {}
extension EvaluationTask: ExpressibleByArgument {}

/// How the cache is kept, and which of its tokens a new token reads.
struct PolicyArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How keys and values are kept: f16, bf16, f32, i16, q8, q4, k4v2 or k2v2 (default: f16, with --activations f32 f32).",
      discussion: """
        f32 takes twice the memory of f16, and is read more slowly. bf16 has the range of f32 in the bytes of f16, with \
        less precision: for models whose keys or values are beyond 65,504. i16 takes 103 % of the memory of f16 and is no \
        less precise: attention multiplies whole numbers, so that prompts are faster, the more so behind a long text; \
        generated tokens behind a long text are slower. q8 and q4 are whole numbers of 8 and 4 bits, of \
        which 32 share a scale: 53 and 28 % of the memory of f16; k4v2 has 4 bits for keys and 2 for values, 22 %, and \
        wants --kv-rotate; k2v2 has 2 bits for both, 17 %, with each element of keys apart, which suits models whose keys \
        have biases (Qwen 2.5). With q4, k4v2 and k2v2 the text is cut into windows of 64 tokens, and a token reads those of its own as \
        f16, where no layer of the model looks back over a window; such models cannot have k2v2. \
        'apus plan' says how much a context takes.
        """))
  var kvType: KVType?

  @Flag(
    help: ArgumentHelp(
      "Rotate keys and values before they are kept, and what is made of them back.",
      discussion: """
        The elements of each head are mixed, so that none sticks out and few bits lose less. It costs little time and \
        changes nothing but rounding. k2v2 keeps the elements apart, and refuses it.
        """))
  var kvRotate = false

  @Option(
    help: ArgumentHelp(
      "Which tokens of the cache a new token reads: full, sinks, sinks-turned, quest, h2o, snapkv, "
        + "pyramid, zipvl or random.",
      discussion: """
        full reads all. quest reads the first sixteen, the last ones of two pages, and those where the largest \
        products may be, for each head; sinks the first sixteen and the last ones, and sinks-turned \
        the same as if the first sixteen stood right before the last ones, with which -c may be longer than the model was \
        trained for; random any, to compare with. h2o, \
        snapkv, pyramid and zipvl keep a part of the prompt, when it is computed, and all that comes behind it: pages that \
        all of the prompt, or its end, attended to most, for each head; pyramid more of them in the first layers; zipvl for all heads of a layer \
        alike, in each layer as many as it takes for the same share of attention. Prompts are computed with all tokens. \
        Few tokens are read in less time and make another text: the page on long contexts says what it costs.
        """))
  var kvPolicy: KVPolicy = .full

  @Option(
    help: ArgumentHelp(
      "Tokens of the cache that a new token reads at most, or that are kept of a prompt: whole pages of 16, "
        + "48 at least, with --kv-type q4, k4v2 or k2v2 80.",
      valueName: "tokens"))
  var kvBudget: Int?

  @Option(
    help: ArgumentHelp(
      "Which tokens the rows of a prompt attend to: none (all tokens) or zipvl.",
      discussion: """
        zipvl attends, in each layer, to as few tokens as have the share --tau of what some rows attend to; rows of the \
        others attend to nothing. Prompts of more than a thousand tokens are computed in less time and make \
        another text: the page on long contexts says what it costs.
        """))
  var prefillSparse: PrefillSparsity = .none

  @Option(
    help: ArgumentHelp(
      "The share of attention that zipvl keeps: above 0, 1 at most (default: of a prompt's rows 0.975, of --kv-policy "
        + "zipvl as much as the budget holds).",
      valueName: "share"))
  var tau: Double?

  func set(_ options: inout LoadOptions) {
    options.prefillSparsity = prefillSparse
    options.tau = tau
    options.kvType = kvType
    options.kvRotated = kvRotate
    options.kvPolicy = kvPolicy
    options.kvBudget = kvBudget
  }
}

/// How a model is loaded: flags that all commands share which load one.
struct LoadArguments: ParsableArguments {
  @Option(help: "Where to run: auto, cpu, reference, opencl or opencl:N (see 'apus devices').")
  var device: DeviceChoice = .auto

  @Flag(help: "Make it an error when the device cannot run the whole model.")
  var noFallback = false

  @Option(name: .shortAndLong, help: "CPU threads (default: all).")
  var threads: Int?

  @Option(
    help:
      "Arithmetic: int8 is faster, at about 0.5% of perplexity; f32 is single precision throughout."
  )
  var activations: Activations = .int8

  @Option(
    name: [.customShort("b"), .customLong("batch")],
    help: "Tokens of a prompt that are computed at once; fewer need less memory.")
  var batch = LoadOptions().batch

  @OptionGroup var steps: StepArguments

  @Option(
    help: ArgumentHelp(
      "Where weights lie: mmap reads them in the file where a device can, copy in memory.",
      discussion: """
        mmap copies what a device wants in another layout, and nothing else; processes share what \
        they read in the file. copy is for files on network disks, and for files that are written to while the model \
        is in use.
        """))
  var load: LoadMode = .mmap

  @Option(
    help: ArgumentHelp(
      "Refuse to load what needs more memory, mapped weights included.",
      discussion: "Bytes, or 12GiB, 800MB. 'apus plan' says what a model needs.",
      valueName: "size"),
    transform: { text in
      do throws(ApusError) { return try ByteCount(text) } catch {
        throw ValidationError(error.description)
      }
    })
  var memLimit: ByteCount?

  @OptionGroup(title: "Long contexts") var policy: PolicyArguments

  @Flag(
    help: ArgumentHelp(
      "Build programs and test the device anew, and keep nothing of it (see 'apus cache')."))
  var noDiskCache = false

  @Flag(help: "Take every kernel as it is built in (see 'apus tune').")
  var noTuning = false

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be 1 or more") }
    if batch < 1 { throw ValidationError("-b must be 1 or more") }
  }

  var options: LoadOptions {
    var options = LoadOptions()
    options.device = device
    options.allowsFallback = !noFallback
    options.threads = threads
    options.activations = activations
    options.batch = batch
    options.persistentKernel = steps.persistent
    options.mode = load
    options.memoryLimit = memLimit
    options.usesDiskCache = !noDiskCache
    policy.set(&options)
    options.usesTuning = !noTuning
    return options
  }
}

/// How steps run.
struct StepArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "On OpenCL devices that are CPUs, compute a step by one launch: auto, on or off.",
      discussion: """
        One launch of a kernel that does all operations of a token, in place of one for each: the results are \
        the same. auto does so with drivers where it is faster, which are PoCL and \
        Intel's CPU runtime, and on PoCL with several threads for parts of prompts too.
        """))
  var persistent: PersistentKernel = .auto
}
