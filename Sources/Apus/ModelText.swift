package import GGUF
import ModelGraph
package import Models
import Tensors
package import Tokenization

/// The side of a model file that concerns text: its vocabulary and its chat template.
package struct ModelText: Sendable {
  package let tokenizer: Tokenizer
  /// The template's source, or nil where the file has none. It is parsed when it is wanted, so
  /// that a strange template does not keep anyone from raw text.
  package let templateSource: String?
  private let path: String

  /// Opens a file and reads them.
  package init(path: String) throws(ApusError) { try self.init(GGUFFile.open(path)) }

  /// Reads vocabulary and template.
  package init(_ file: GGUFFile) throws(ApusError) {
    path = file.path
    let description: VocabularyDescription
    do throws(GGUFError) {
      description = try VocabularyDescription(file)
      templateSource = try file.text("tokenizer.chat_template")
    } catch { throw ApusError(error) }
    do throws(TokenizationError) {
      tokenizer = try Tokenizer(description)
    } catch { throw ApusError(error, path: file.path) }
  }

  /// Refuses a model that has no row or no output for some token.
  package func check(against model: Model) throws(ApusError) {
    let tables = model.graph.nodes.compactMap { node -> Int? in
      if case .embedRows(let embed) = node.op { embed.table.rows } else { nil }
    }
    let rows = tables.min() ?? 0
    guard tokenizer.count <= min(rows, model.vocabularySize) else {
      throw ApusError(
        .model,
        "\(path): the vocabulary has \(tokenizer.count) tokens, but the model's embedding only "
          + "\(rows) and its output \(model.vocabularySize); convert the model again")
    }
  }

  /// The tokens of a conversation, as the model's own template writes it.
  package func tokens(of messages: [ChatMessage]) throws(ApusError) -> [Int32] {
    guard let templateSource else {
      throw ApusError(.model, "\(path) has no chat template; use --raw to continue plain text")
    }
    let text: String
    do throws(TemplateError) {
      text = try ChatTemplate(templateSource).render(
        messages: messages, addGenerationPrompt: true,
        bos: tokenizer.bos.flatMap { tokenizer.text(of: $0) } ?? "",
        eos: tokenizer.eos.flatMap { tokenizer.text(of: $0) } ?? "")
    } catch { throw ApusError(error, path: path) }
    // A template that writes the BOS text itself would else get it twice.
    let bos = tokenizer.bos.flatMap { tokenizer.text(of: $0) }
    let hasBOS = bos.map { !$0.isEmpty && text.hasPrefix($0) } ?? false
    return tokenizer.encode(text, parseSpecial: true, addBOS: tokenizer.addsBOS && !hasBOS)
  }
}

extension GGUFFile {
  /// Opens a file, with an error for users.
  static func open(_ path: String) throws(ApusError) -> GGUFFile {
    do throws(GGUFError) { return try GGUFFile(path: path) } catch { throw ApusError(error) }
  }
}

extension VocabularyDescription {
  /// Reads the `tokenizer.ggml.*` keys.
  fileprivate init(_ file: GGUFFile) throws(GGUFError) {
    func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
    func id(_ name: String) throws(GGUFError) -> Int32? {
      guard let value = try file.integer(key(name)) else { return nil }
      guard let id = Int32(exactly: value) else {
        throw file.error(.unexpected(key: key(name), wanted: "a token id"))
      }
      return id
    }
    guard let model = try file.text(key("model")) else {
      throw file.error(.missing(key: key("model")))
    }
    guard let tokens = try file.texts(key("tokens")) else {
      throw file.error(.missing(key: key("tokens")))
    }
    self.init(
      model: model, preTokenizer: try file.text(key("pre")), tokens: tokens,
      scores: try file.reals(key("scores"))?.map { Float($0) } ?? [],
      tokenTypes: try file.integers(key("token_type"))?.map { Int32(clamping: $0) } ?? [],
      merges: try file.texts(key("merges")) ?? [], bos: try id("bos_token_id"),
      eos: try id("eos_token_id"), eot: try id("eot_token_id"), eom: try id("eom_token_id"),
      unknown: try id("unknown_token_id"), padding: try id("padding_token_id"),
      separator: try id("seperator_token_id"), cls: try id("cls_token_id"),
      addBOS: try file.flag(key("add_bos_token")), addEOS: try file.flag(key("add_eos_token")),
      addSpacePrefix: try file.flag(key("add_space_prefix")))
  }
}
