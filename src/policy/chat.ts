/** Chat templates in Jinja, as Transformers renders them. */
import { Template } from '@huggingface/jinja'
import { AdjudgeError } from '../errors.js'
import type { Message } from './types.js'

/** Text variables that a template may use, such as `bos_token`. */
export type SpecialTokens = Record<string, string>

export class ChatTemplate {
  private readonly template: Template

  /**
   * @param source the Jinja template
   * @param file where it was found, for messages
   * @throws AdjudgeError `TOKENIZER_INVALID` where the template cannot be parsed
   */
  constructor(
    readonly source: string,
    private readonly file: string,
    private readonly specialTokens: SpecialTokens
  ) {
    try {
      this.template = new Template(source)
    } catch (error) {
      throw new AdjudgeError('TOKENIZER_INVALID', `${file}: the chat template cannot be parsed: ${textOf(error)}`, {
        cause: error
      })
    }
  }

  /** The messages as the model's text. `generationPrompt` adds the opening of the assistant's turn. */
  render(messages: Message[], generationPrompt: boolean): string {
    try {
      return this.template.render({
        ...this.specialTokens,
        messages,
        add_generation_prompt: generationPrompt
      })
    } catch (error) {
      throw new AdjudgeError(
        'ARGUMENT_INVALID',
        `The chat template of ${this.file} does not accept these messages: ${textOf(error)}`,
        { cause: error }
      )
    }
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
