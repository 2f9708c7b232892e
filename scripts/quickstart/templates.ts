/** The two models' chat templates. */

export const policyTemplate =
  "{%- for message in messages -%}{{ '<|' + message.role + '|>' + message.content }}" +
  "{%- if message.role == 'assistant' -%}{{ '<|end|>' }}{%- endif -%}{%- endfor -%}" +
  "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"

/**
 * The judge reads adjudge's own prompt, but this tiny one knows one rubric by heart: of the prompt its template keeps
 * the customer's text and the reply.
 */
export const judgeTemplate =
  '{%- set text = messages[-1].content -%}' +
  "{%- set conversation = text.split('<<<BEGIN CONVERSATION ')[1].split('\\n<<<END CONVERSATION')[0] -%}" +
  "{%- set answer = text.split('<<<BEGIN ANSWER ')[1].split('\\n<<<END ANSWER')[0] -%}" +
  "{{ '<|user|>' + conversation.split('>>>\\nuser: ')[1] + '<|assistant|>' + answer.split('>>>\\n')[1] + '<|score|>' }}"
