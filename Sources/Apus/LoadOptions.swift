/// Which device a user asks for.
public enum DeviceChoice: Sendable, Hashable, CustomStringConvertible {
  /// The first OpenCL device that works, else the CPU.
  case auto
  /// The native CPU backend.
  case cpu
  /// The oracle: plain Swift, exact and slow.
  case reference
  /// An OpenCL device by its place in `apus devices`.
  case opencl(Int)

  /// Reads `auto`, `cpu`, `reference`, `opencl` or `opencl:N`.
  public init?(_ text: String) {
    switch text {
    case "auto": self = .auto
    case "cpu": self = .cpu
    case "reference": self = .reference
    case "opencl": self = .opencl(0)
    default:
      guard text.hasPrefix("opencl:"), let index = Int(text.dropFirst(7)), index >= 0
      else { return nil }
      self = .opencl(index)
    }
  }

  /// The text that names it.
  public var description: String {
    switch self {
    case .auto: "auto"
    case .cpu: "cpu"
    case .reference: "reference"
    case .opencl(let index): "opencl:\(index)"
    }
  }
}

/// The arithmetic of a run.
public enum Activations: String, Sendable, CaseIterable {
  /// Quantised layers take their input as blocks of 32 signed bytes, keys and values are kept in
  /// half precision: faster, at about half a percent of perplexity. The result has the same bits on
  /// every device that computes as IEEE 754 and OpenCL say.
  case int8
  /// Single precision throughout, keys and values included.
  case f32
}

/// Where weights lie while a model is in use.
public enum LoadMode: String, Sendable, CaseIterable {
  /// Weights stay in the file, which is mapped: the CPU reads them there, without a copy, and
  /// processes that use the same file share its memory. Other devices get one copy of their own,
  /// and the file is let go when it is made. The file must not be written to meanwhile; replacing it
  /// by renaming another is safe.
  case mmap
  /// Weights are read into memory of the process, a few megabytes at a time. For files on network
  /// disks, and for files that are written to in place while the model is in use: a mapped file that
  /// becomes shorter ends the process (SIGBUS).
  case copy
}

/// Whether OpenCL devices that are CPUs compute a token, or a part of a prompt, by one launch of a kernel that
/// stays until all operations are done, or by a launch for each. The results are the same.
public enum PersistentKernel: String, Sendable, CaseIterable {
  /// One launch with drivers where that is known to be faster: PoCL and Intel's CPU runtime, and for prompts
  /// PoCL with several threads.
  case auto
  /// One launch on every OpenCL device that is a CPU; an error where that does not work for tokens.
  case on
  /// A launch for each operation.
  case off
}

/// Which tokens of the cache a new token reads. The prompt is computed with all of them, and layers that
/// look back through a window of their own keep to it.
public enum KVPolicy: String, Sendable, CaseIterable {
  /// All.
  case full
  /// The first sixteen and the last ones (StreamingLLM, Xiao et al., 2024).
  case sinks
  /// The same, and the first sixteen are read as if they stood right before the last ones. A context may be longer than the
  /// model was trained for (``LanguageModel/promptLimit``).
  case sinksTurned = "sinks-turned"
  /// The first sixteen, the last ones of two pages, and those in whose pages the largest products may be, for
  /// each head (Quest, Tang et al., 2024); all in the first two layers.
  case quest
  /// Of the prompt, the last ones for one half of the budget, and for the other those in the pages that all of it attended
  /// to most, for each head (H2O, Zhang et al., 2023); and all that is generated. The others are dropped.
  case h2o
  /// Of the prompt, those in the pages that its last 32 tokens attended to most (SnapKV, Li et al., 2024).
  case snapkv
  /// The same, more of them in the first layers than in the last (PyramidKV, Cai et al., 2024).
  case pyramid
  /// Of the prompt, in each layer as few pages as have the same share of what some of its tokens attended to: on average the
  /// budget, or less where layers have the share ``LoadOptions/tau`` with less (ZipVL, He et al., 2024).
  case zipvl
  /// Pages by chance: what another policy must beat to be worth something.
  case random
}

/// Whether the pages are told that each generated token reads (``LanguageModel/explainCache(_:limit:replaying:until:)``).
public enum CacheReport: Sendable, Hashable {
  /// No.
  case none
  /// Those that the policy chooses.
  case notes
  /// Those of another run are read in place of what the policy chooses.
  case replays
}

/// Which of the tokens that they see the rows of a prompt attend to.
public enum PrefillSparsity: String, Sendable, CaseIterable {
  /// All.
  case none
  /// In each layer, as few as have a share (``LoadOptions/tau``) of what some rows attend to; the rows of the others
  /// attend to nothing (ZipVL, He et al., 2024). Short prompts, and layers with a window, attend to all. It is faster
  /// and makes another text: the page on long contexts says what it costs.
  case zipvl
}

/// How keys and values are kept.
public enum KVType: String, Sendable, CaseIterable {
  /// Half precision.
  case f16
  /// The upper half of single precision: all of its range in as many bytes as ``f16``, which is more precise. For models
  /// whose keys or values are beyond 65,504.
  case bf16
  /// Single precision: twice as many bytes.
  case f32
  /// Whole numbers of 16 bits, with a scale for each token and head: 103 % of the bytes of ``f16``, no less precise, and
  /// attention multiplies them as they are, two at a time where a device can.
  case i16
  /// Whole numbers of 8 bits, of which 32 share a scale: 53 % of the bytes of ``f16``.
  case q8
  /// Whole numbers of 4 bits, likewise: 28 % of the bytes of ``f16``. Tokens read those of their own 64 as ``f16``, where
  /// no layer looks back over a window.
  case q4
  /// Keys as with ``q4``, values in 2 bits: 22 % of the bytes of ``f16``, and the same 64 tokens. To be used with
  /// ``LoadOptions/kvRotated``: without it one large element spoils a block of a value.
  case k4v2
  /// Keys and values in 2 bits, each element of keys over the tokens of a page (KIVI, Liu et al., 2024): 17 % of the bytes of
  /// ``f16``, and the same 64 tokens. Not to be rotated, and not for models with layers that look back over a window.
  case k2v2
}

/// How a model is loaded.
public struct LoadOptions: Sendable {
  /// The device to run on.
  public var device: DeviceChoice = .auto
  /// Whether the next device in order may take over what the first does not do.
  public var allowsFallback = true
  /// Tokens of context, or nil for the model's own, at most 4096. More than the model was trained for goes with
  /// ``KVPolicy/sinksTurned`` only, and for generated tokens (``LanguageModel/promptLimit``).
  public var contextLength: Int?
  /// Threads of the CPU, or nil for all.
  public var threads: Int?
  /// Arithmetic of quantised layers.
  public var activations: Activations = .int8
  /// Rows with logits in one step at most; scoring wants many, generation one, and with
  /// ``GenerationOptions/speculation`` one more than are proposed.
  public var outputRows = 1

  /// The file of a smaller model with the same tokens that guesses what this one will pick, or nil where guesses are
  /// from the text: what ``GenerationOptions/speculation`` proposes.
  public var draft: String?

  /// Tokens of a prompt that are computed at once, at most: more need more scratch memory, and a
  /// cancel waits longer. It changes no result, but where a prompt's steps decide what is kept or read of it: with
  /// ``KVPolicy/h2o`` and ``KVPolicy/zipvl`` the last bits of a score, with ``LoadOptions/prefillSparsity`` all of it.
  public var batch = 256
  /// Whether CPU devices of OpenCL compute a step by one launch.
  public var persistentKernel: PersistentKernel = .auto
  /// How keys and values are kept, or nil for what goes with ``activations``: ``KVType/f16`` with int8,
  /// ``KVType/f32`` with f32.
  public var kvType: KVType?
  /// Whether the elements of each key and value are mixed before they are kept, so that no one of them sticks out:
  /// few bits then round them less. The result is that of none, but for rounding.
  public var kvRotated = false
  /// Which tokens of the cache a new token reads.
  public var kvPolicy: KVPolicy = .full
  /// Tokens of the cache that a new token reads at most, in whole pages of 16 and three of them at least;
  /// nil where the policy is ``KVPolicy/full``.
  public var kvBudget: Int?
  /// Whether the pages are told that each generated token reads.
  public var cacheReport: CacheReport = .none
  /// Which of the tokens that they see the rows of a prompt attend to.
  public var prefillSparsity: PrefillSparsity = .none
  /// The share of attention that ``PrefillSparsity/zipvl`` keeps, above 0 and 1 at most, or nil for 0.975. With 1 it
  /// keeps all tokens. Of ``KVPolicy/zipvl`` the same, or nil for as many as the budget has.
  public var tau: Double?
  /// Whether keys and values of a prompt, and of the reply to it, stay for prompts that begin with the same tokens,
  /// until the cache needs their place: they are not computed again. Replies do not depend on it.
  public var sharesPrefixes = true
  /// Where weights lie.
  public var mode: LoadMode = .mmap
  /// Bytes that the model may take on all devices together, mapped weights included, or nil for
  /// what the devices and the host have.
  public var memoryLimit: ByteCount?
  /// Whether programs that OpenCL drivers build, and the verdicts of self-tests, are kept on disk for
  /// the next start, and taken from there. ``CacheInventory`` shows them.
  public var usesDiskCache = true
  /// Whether kernels are chosen by what ``DeviceTuning`` found on the device, or comes with Apus.
  public var usesTuning = true

  /// The defaults.
  public init() {}
}

extension LoadOptions {
  /// The same with another policy. A share that nothing takes then is left out.
  func with(_ policy: KVPolicy, budget: Int? = nil) -> LoadOptions {
    var options = self
    (options.kvPolicy, options.kvBudget) = (policy, budget)
    if policy != .zipvl, prefillSparsity == .none { options.tau = nil }
    return options
  }
}
